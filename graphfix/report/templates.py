"""jinja2 with this room's templates: every page of graphfix is made from them."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from graphfix.errors import UnavailableError


def environment() -> Any:
    """A `jinja2.Environment` that escapes.

    Raises:
        UnavailableError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FunctionLoader
    except ImportError as error:
        raise UnavailableError("an HTML page needs jinja2", hint='pip install "graphfix[validate]"') from error
    room = files("graphfix.report")
    loader = FunctionLoader(lambda name: (room / name).read_text(encoding="utf-8"))
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, loader=loader)
