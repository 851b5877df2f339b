"""What to do, checked before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from graphfix.errors import UsageError
from graphfix.quantize import samples
from graphfix.quantize.recipes import Backbone, Format, Mha, choose, formats, mhas, read, recipe_for
from graphfix.quantize.source import DTYPES, Source, find

DEVICES = ("cpu", "cuda")
FILES = ("model.onnx", "model.onnx_data", "inputs.npz", "reference.npz", "unquantized.npz", "manifest.json")


@dataclass(frozen=True)
class Job:
    """One quantization.

    Attributes:
        source: The backbone.
        recipe: Its interface.
        how: The format.
        mha: How attention is quantized; None: not.
        output: The folder to write; see ``FILES``.
        calibration: ``random``, prompts (``.txt``, one a line) or recorded inputs (``.npz``).
        steps: Samples to calibrate with; denoising steps for each prompt.
        device: ``cpu`` or ``cuda``.
        dtype: ``fp16``, ``bf16`` or ``fp32``: what is not quantized.
        raw: Stop at what torch exported.
        seed: Of random calibration and of the recorded sample.
        random_weights: A seed for weights, instead of reading them.
        sizes: Sizes of free axes that replace the recipe's.
        passes: The pipeline that the export goes through.
        reference: Whether to record what the module computes, for the gate.
    """

    source: Source
    recipe: Backbone
    how: Format
    mha: Mha | None
    output: Path
    calibration: str = "random"
    steps: int = 32
    device: str = "cpu"
    dtype: str = "fp16"
    raw: bool = False
    seed: int = 0
    random_weights: int | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    passes: str = ""
    reference: bool = True

    @property
    def pipeline(self) -> str:
        """The passes: those given, else the format's."""
        return self.passes or self.how.passes


def make(
    model: str,
    output: Path,
    *,
    format: str = "",
    mha: str = "",
    component: str = "",
    recipe: Path | None = None,
    calibration: str = "random",
    steps: int = 32,
    device: str = "cpu",
    dtype: str = "fp16",
    raw: bool = False,
    seed: int = 0,
    random_weights: int | None = None,
    sizes: dict[str, int] | None = None,
    passes: str = "",
    reference: bool = True,
) -> Job:
    """A job from what was typed; nothing given means the recipe's default.

    Raises:
        UsageError: Something does not exist or does not go together.
    """
    source = find(model, component)
    backbone = read(recipe) if recipe is not None else recipe_for(source.cls)
    if backbone.cls != source.cls:
        raise UsageError(
            f"the recipe is for {backbone.cls}, the model is a {source.cls}", where=str(recipe), hint=f'class = "{source.cls}"'
        )
    chosen = format or backbone.default.get("format", "fp8")
    how: Format = choose("format", chosen, formats())
    wanted = mha or ("" if format else backbone.default.get("mha", ""))
    attention: Mha | None = choose("way to quantize attention", wanted, mhas()) if wanted not in {"", "none"} else None
    choose("dtype", dtype, DTYPES)
    choose("device", device, dict.fromkeys(DEVICES))
    if attention is not None and dtype == "fp32":
        raise UsageError(
            f"--mha {attention.name} with --dtype fp32", why="TensorRT fuses quantized attention in 16 bits only", hint="--dtype fp16"
        )
    if steps < 1:
        raise UsageError(f"--steps {steps}", hint="at least one sample")
    for name, size in (sizes or {}).items():
        if name not in backbone.sizes:
            raise UsageError(f"no free axis {name!r}", hint=f"one of {', '.join(backbone.sizes)}")
        if size < 1:
            raise UsageError(f"--size {name}={size}", hint="a positive number")
    _check_calibration(calibration, source, random_weights)
    if calibration.endswith(".txt"):
        backbone.call(sizes or {}, 1)  # what the pipeline could not take is told before it is loaded
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file", hint="-o names a folder")
    if raw and passes:
        raise UsageError("--raw and --passes exclude each other", hint="--raw stops before any pass")
    return Job(
        source=source,
        recipe=backbone,
        how=how,
        mha=attention,
        output=output,
        calibration=calibration,
        steps=steps,
        device=device,
        dtype=dtype,
        raw=raw,
        seed=seed,
        random_weights=random_weights,
        sizes=dict(sizes or {}),
        passes=passes,
        reference=reference,
    )


def _check_calibration(calibration: str, source: Source, random_weights: int | None) -> None:
    if calibration == "random":
        return
    path = Path(calibration)
    if path.suffix not in {".txt", ".npz"}:
        raise UsageError(
            f"--calibration {calibration}", hint="random, prompts in a .txt file (one a line), or recorded inputs in an .npz file"
        )
    if not path.is_file():
        raise UsageError(f"no file {calibration}", hint="check the path, or --calibration random")
    if path.suffix == ".txt" and (not source.component or random_weights is not None):
        raise UsageError(
            "prompts need the whole pipeline with its weights",
            why=f"{source.location} is one component" if not source.component else "--random-weights reads none",
            hint="name the pipeline's folder, or record inputs in an .npz file",
        )
    if path.suffix == ".txt":
        samples.prompts(path)
