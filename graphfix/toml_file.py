"""TOML files that users write: configuration, manifests, recipes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from graphfix.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read(path: Path, hint: str = "") -> dict[str, Any]:
    """The tables of a file.

    Args:
        path: The file, in UTF-8.
        hint: What to type when there is no such file, or it is something else.

    Raises:
        UsageError: It cannot be read, or is not TOML.
    """
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"no file {path}", hint=hint or "check the path") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read", why=error.strerror or str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name} is not valid TOML", where=str(path), why=str(error), hint=hint) from error
    return tables
