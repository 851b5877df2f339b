"""The road: load, calibrate, export, mend, save, write down what was done."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphfix import api, io
from graphfix._version import __version__
from graphfix.errors import ModelError
from graphfix.io.files import sweep
from graphfix.io.lock import NAME as LOCK
from graphfix.io.lock import only_writer
from graphfix.quantize import failures, layers, samples, source
from graphfix.quantize.job import FILES, Job
from graphfix.quantize.stages import Stage, Stages
from graphfix.report.result import installed

if TYPE_CHECKING:
    import torch

Progress = Callable[[str, int, int], None]
SCHEMA = 1  # of manifest.json
PACKAGES = ("torch", "nvidia-modelopt", "diffusers", "transformers", "onnx", "onnx-ir", "numpy")


@dataclass(frozen=True)
class Quantized:
    """What `run` made.

    Attributes:
        path: The ONNX file.
        stages: Time and memory of each stage.
        plan: What became of each layer.
        applied: What the passes did; None for a raw export.
        noise: Relative L2 distance between the quantized and the unquantized module's output on the recorded sample.
        shapes: The recorded sample's shapes, by the graph's input names.
    """

    path: Path
    stages: list[Stage]
    plan: layers.Plan
    applied: api.Applied[Any] | None
    noise: float | None
    shapes: dict[str, tuple[int, ...]]


def run(job: Job, progress: Progress | None = None) -> Quantized:
    """Quantize, export and mend.

    Writes into ``job.output``: ``model.onnx`` and ``model.onnx_data``; ``inputs.npz`` (a sample), ``reference.npz`` (what the
    fake-quantized module makes of it) and ``unquantized.npz`` for the gate; ``manifest.json`` last.

    Raises:
        GraphfixError: With the command that mends it, see `graphfix.quantize.failures`.
    """

    def say(what: str) -> None:
        if progress is not None:
            progress(what, 0, 0)

    with failures.explained("starting"):
        import psutil  # noqa: F401 - Stages measures with it; missing packages are told before work begins
        import torch

        from graphfix.quantize import block_quantizer, calibrate, export

        stages = Stages(job.device)
        if job.device == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("Torch not compiled with CUDA enabled" if torch.version.cuda is None else "Found no NVIDIA driver")
    io.make_folder(job.output)
    with _room(job.output) as room, block_quantizer.installed():
        torch.manual_seed(job.seed)
        with stages.stage("load"), failures.explained("loading the model"):
            say("loading the model")
            pipeline, model = _load(job)
        dtype, device = next(model.parameters()).dtype, torch.device(job.device)
        plan = layers.plan(model, job.recipe, job.how, job.mha)
        wanted = samples.shapes(job.recipe, job.source.config, job.sizes)
        sample = next(samples.random(job.recipe, wanted, job.seed + 1, 1))
        arguments = export.arguments(sample, job.recipe, dtype, device)
        recorded: dict[str, torch.Tensor] = {}
        if job.reference:
            with stages.stage("run unquantized"), failures.explained("running the model"):
                say("running the unquantized model")
                recorded["unquantized"] = _run(model, arguments)
        with stages.stage("calibrate"), failures.explained("quantizing"):
            say("calibrating")
            config = layers.configuration(model, plan, job.how, job.mha, job.dtype)
            model = layers.quantize(model, config, calibrate.loop(job, dtype, pipeline, progress))
        pipeline = None
        if job.reference:
            with stages.stage("run quantized"), failures.explained("running the quantized model"):
                say("running the quantized model")
                recorded["reference"] = _run(model, arguments)
        exported = room / "exported.onnx"
        with stages.stage("export"), failures.explained("exporting the graph"):
            say("exporting the graph")
            export.export(model, arguments, job.recipe, job.source.config, exported)
        graph_inputs = export.graph_inputs(arguments)
        del model, arguments
        stages.release()
        with stages.stage("mend and save"):
            path = job.output / FILES[0]
            applied = None if job.raw else api.apply(exported, job.pipeline, progress=progress)
            if applied is not None:
                applied.save(path, data="gather", progress=progress)
            else:
                io.save(io.load(exported), path, data="gather", progress=progress)
        _record(job, graph_inputs, recorded)
        noise = _distance(recorded) if job.reference else None
        shapes = {name: tuple(tensor.shape) for name, tensor in graph_inputs.items()}
        made = Quantized(path, stages.done, plan, applied, noise, shapes)
        io.write_text(job.output / "manifest.json", json.dumps(manifest(job, made), indent=1) + "\n")
    return made


@contextmanager
def _room(output: Path) -> Iterator[Path]:
    """A folder in ``output`` for what torch exports: gigabytes, which the next run removes where this one is killed.

    Raises:
        UnavailableError: Another run works there.
    """
    room = output / ".graphfix-export"
    io.make_folder(room)
    with only_writer(room, patience=0):
        for left in set(room.iterdir()) - {room / LOCK}:
            left.unlink()
        for name in FILES:
            sweep(output / name)
        try:
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)  # Windows keeps the lock's file, which goes with the lock
    with suppress(OSError):
        room.rmdir()


def _load(job: Job) -> tuple[Any, torch.nn.Module]:
    """The pipeline (where prompts are used, else None) and the backbone."""
    if not job.calibration.endswith(".txt"):
        return None, source.load(job.source, job.dtype, job.device, job.random_weights)
    import torch
    from diffusers import DiffusionPipeline

    kind = getattr(torch, source.DTYPES[job.dtype])
    pipeline = DiffusionPipeline.from_pretrained(job.source.location, torch_dtype=kind)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(job.device, kind)  # the type too: without accelerate, some classes stay in float32
    return pipeline, getattr(pipeline, job.source.component).eval()


def _run(model: torch.nn.Module, arguments: dict[str, Any]) -> torch.Tensor:
    import torch

    with torch.inference_mode():
        made: torch.Tensor = model(**arguments)[0]
    if not torch.isfinite(made).all():
        raise ModelError("the model's output is not finite", why="its numbers leave the range of the type", hint="--dtype bf16")
    return made.float().cpu()


def _record(job: Job, inputs: dict[str, torch.Tensor], outputs: dict[str, torch.Tensor]) -> None:
    import numpy as np
    import torch

    def array(tensor: torch.Tensor) -> Any:
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()

    files = {name: {job.recipe.output: tensor} for name, tensor in outputs.items()}
    for name, tensors in {"inputs": inputs, **files}.items():
        path = job.output / f"{name}.npz"
        try:
            with io.temporary(path) as draft, draft.open("wb") as file:
                np.savez(file, **{key: array(tensor) for key, tensor in tensors.items()})
        except OSError as error:
            io.explain(error, path)


def _distance(recorded: dict[str, torch.Tensor]) -> float:
    a, b = recorded["reference"].double(), recorded["unquantized"].double()
    return float((a - b).norm() / b.norm())


def manifest(job: Job, made: Quantized) -> dict[str, Any]:
    """What was done, as data: the same job on the same versions gives the same digests. It names no folder."""
    config = json.dumps(job.source.config, sort_keys=True).encode()
    data = Path(job.calibration)
    return {
        "schema": SCHEMA,
        "tool": "graphfix quantize",
        "versions": {"graphfix": __version__, **installed(PACKAGES)},
        "model": {
            "name": job.source.name,
            "component": job.source.component,
            "class": job.source.cls,
            "config_sha256": hashlib.sha256(config).hexdigest(),
            "random_weights": job.random_weights,
        },
        "recipe": {k: v for k, v in asdict(job.recipe).items() if k != "name"},
        "format": asdict(job.how),
        "mha": asdict(job.mha) if job.mha is not None else None,
        "calibration": {"data": data.name, "sha256": io.digest(data) if data.is_file() else None, "steps": job.steps, "seed": job.seed},
        "dtype": job.dtype,
        "device": job.device,
        "sizes": job.sizes,
        "shapes": {name: list(shape) for name, shape in made.shapes.items()},
        "passes": None if job.raw else job.pipeline,
        "quantization_noise": made.noise,
        "layers": {"quantized": list(made.plan.quantized), "kept": made.plan.kept, "attention": list(made.plan.attention)},
        "stages": [asdict(stage) for stage in made.stages],
        "files": {name: io.digest(job.output / name) for name in FILES if (job.output / name).is_file() and name != "manifest.json"},
    }
