"""What the front end's tests share: tiny models of the real classes. Without torch and ModelOpt they skip and say what to install."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MODELS = Path(__file__).parents[2] / "fixtures" / "models"
NEEDED = ("torch", "modelopt", "diffusers", "psutil")
# Smaller than a real pipeline's, so that a run takes a second.
SIZES = {"sequence_length": 32, "packed_height_width": 64}


def missing() -> str:
    """The first package that the front end lacks here; empty where it can run."""
    return next((name for name in NEEDED if importlib.util.find_spec(name) is None), "")


needs_torch = pytest.mark.skipif(bool(missing()), reason=f'{missing()} is not installed: pip install "graphfix[quantize]"')


@pytest.fixture
def quantize(tmp_path: Path) -> Callable[..., Any]:
    """Quantize a tiny model in this process: ``quantize("sd3", format="fp8")``."""
    from graphfix.quantize import job
    from graphfix.quantize.recipes import recipe_for
    from graphfix.quantize.run import run

    def call(model: str, output: str = "out", **options: Any) -> Any:
        source = job.find(str(MODELS / model))
        known = recipe_for(source.cls).sizes
        sizes = {name: size for name, size in {**SIZES, **options.pop("sizes", {})}.items() if name in known}
        given = {"random_weights": 0, "steps": 2, "sizes": sizes, **options}
        return run(job.make(str(MODELS / model), tmp_path / output, **given))

    return call
