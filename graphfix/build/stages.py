"""The four stages: what each reads, what it writes, and how it is done."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphfix import api, io, place
from graphfix._version import __version__
from graphfix.build.recipe import Recipe
from graphfix.pipeline import Progress
from graphfix.quantize import job as quantize_job
from graphfix.report import render
from graphfix.report.result import installed
from graphfix.validate import gate, shapes
from graphfix.validate.job import THRESHOLDS, TIERS, Job

MODEL = "model.onnx"


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: Its table in the recipe.
        reads: Files and folders that its result depends on.
        writes: Files that it makes; it is done again when one is missing or changed.
        versions: Packages that its result depends on.
        run: Does it; returns one line for the reader and whether the build may go on.
        asks: What the recipe asks of it beyond its table; called when the stages before it are done.
    """

    name: str
    reads: Callable[[Recipe], list[Path]]
    writes: Callable[[Recipe], list[Path]]
    versions: tuple[str, ...]
    run: Callable[[Recipe, Progress | None], tuple[str, bool]]
    asks: Callable[[Recipe], Any] = lambda _: None

    def options(self, recipe: Recipe) -> dict[str, Any]:
        """What the recipe asks of it, with the versions that matter."""
        asked = [dataclasses.asdict(getattr(recipe, self.name)), self.asks(recipe)]
        return {"asked": asked, "graphfix": __version__, **installed(self.versions)}


def exported(recipe: Recipe) -> Path:
    """Where the quantizer leaves its export and its samples."""
    return recipe.output / "export"


def source(recipe: Recipe) -> Path:
    """The model that the passes start from."""
    return exported(recipe) / MODEL if recipe.quantize is not None else Path(recipe.resolve(recipe.apply.model))


def passes(recipe: Recipe) -> str:
    """The pipeline: as asked, else the format's."""
    if recipe.apply.passes or recipe.quantize is None:
        return recipe.apply.passes or "trtrtx"
    return str(json.loads((exported(recipe) / "manifest.json").read_text(encoding="utf-8"))["format"]["passes"])


def _job(recipe: Recipe) -> quantize_job.Job:
    asked = recipe.quantize
    assert asked is not None
    options = {f.name: getattr(asked, f.name) for f in dataclasses.fields(asked) if f.name not in {"model", "recipe"}}
    options["calibration"] = recipe.resolve(asked.calibration)
    own = Path(recipe.resolve(asked.recipe)) if asked.recipe else None
    return quantize_job.make(recipe.resolve(asked.model), exported(recipe), recipe=own, raw=True, **options)


def _quantize(recipe: Recipe, progress: Progress | None) -> tuple[str, bool]:
    job = _job(recipe)
    from graphfix.quantize.run import run

    made = run(job, progress)
    return f"{len(made.plan.quantized)} layers in {job.how.name}, {len(made.plan.kept)} kept", True


def _apply(recipe: Recipe, progress: Progress | None) -> tuple[str, bool]:
    result = api.apply(source(recipe), passes(recipe), progress=progress)
    result.save(recipe.output / MODEL, data="copy", progress=progress)
    return f"{len(result.changes):,} changes by {passes(recipe)}", True


def _validate(recipe: Recipe, progress: Progress | None) -> tuple[str, bool]:
    asked, model = recipe.validate, recipe.output / MODEL
    inputs, reference = _samples(recipe) if recipe.quantize is not None else (None, None)
    loaded = io.load(model)
    chosen = shapes.choose(loaded, shapes.recorded(inputs, loaded) if inputs is not None else {}, asked.dims)
    job = Job(
        model=model,
        tiers=tuple(asked.tiers or TIERS),
        named=bool(asked.tiers),
        shapes=chosen.shapes,
        assumed=chosen.assumed,
        targets=tuple(asked.targets),
        thresholds=asked.thresholds or dict(THRESHOLDS),
        inputs=inputs,
        reference=reference,
    )
    report = gate.validate(job, progress)
    io.write_text(recipe.output / "validate.json", render.render(report, "json", assumed=job.assumed))
    return report.verdict(), report.passed


def _place(recipe: Recipe, progress: Progress | None) -> tuple[str, bool]:
    assert recipe.place is not None
    done = place.place(
        recipe.output / MODEL, Path(recipe.resolve(recipe.place.pipeline)), component=recipe.place.component, progress=progress
    )
    io.write_text(recipe.output / "place.json", json.dumps(done.report(), indent=1) + "\n")
    return next(iter(done.lines()), done.action), not done.refused


def _quantize_reads(recipe: Recipe) -> list[Path]:
    asked = recipe.quantize
    assert asked is not None
    names = filter(None, (asked.model, asked.recipe, asked.calibration))
    return [path for path in (Path(recipe.resolve(name)) for name in names) if path.exists()]


def _model_files(recipe: Recipe) -> list[Path]:
    return [recipe.output / MODEL, recipe.output / f"{MODEL}_data"]


def _samples(recipe: Recipe) -> tuple[Path, Path]:
    """A sample, and what the fake-quantized module makes of it."""
    return exported(recipe) / "inputs.npz", exported(recipe) / "reference.npz"


def _source_files(recipe: Recipe) -> list[Path]:
    path = source(recipe)
    if not path.is_file():
        return [path]
    return [path, *sorted({Path(t.base_dir or path.parent) / t.location for t in io.external_tensors(io.load(path))})]


def _placed(recipe: Recipe) -> list[Path]:
    """What place wrote: the component's header. Its data has the name that the header gives."""
    assert recipe.place is not None
    root = Path(recipe.resolve(recipe.place.pipeline))
    names = [recipe.place.component] if recipe.place.component else place.COMPONENTS
    return [path for path in (root / name / MODEL for name in names) if path.is_file()]


STAGES = (
    Stage(
        "quantize",
        _quantize_reads,
        lambda r: [exported(r) / name for name in quantize_job.FILES],
        ("torch", "nvidia-modelopt", "diffusers", "transformers"),
        _quantize,
    ),
    Stage("apply", _source_files, _model_files, ("onnx", "onnx-ir"), _apply, passes),
    Stage(
        "validate",
        lambda r: [*_model_files(r), *_samples(r)],
        lambda r: [r.output / "validate.json"],
        ("onnx", "onnxruntime", "onnxruntime-gpu", "tensorrt-rtx-cu13"),
        _validate,
    ),
    Stage("place", _model_files, lambda r: [*_placed(r), r.output / "place.json"], (), _place),
)
