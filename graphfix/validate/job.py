"""What is asked of the gate, as one value that every tier reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from graphfix.validate.shapes import Shapes

DEFAULT_EP = "onnxruntime_ep_nv_tensorrt_rtx"
TIERS = ("check", "load", "compile", "numerics", "run", "bench")

# Default thresholds by format and metric; a configuration or --threshold replaces them. They are where a usable image ends in practice, not
# a promise: calibrate them on the model and prompts that ship. Formats are those of `graphfix inspect`.
THRESHOLDS = {"rel_l2": 0.5, "cosine": 0.95, "psnr": 15.0}
AT_LEAST = {"rel_l2": False, "cosine": True, "psnr": True, "max_abs": False}


@dataclass(frozen=True)
class Job:
    """One validation.

    Attributes:
        model: The ``.onnx`` file.
        tiers: The tiers to run, in order.
        named: Whether they were asked for by name: then one that this machine cannot run is an error, not a skip.
        shapes: A static shape for each input.
        assumed: Axes whose size nobody gave.
        least: The smallest shapes of the compile tier's optimization profile, where they differ from ``shapes``.
        most: The largest ones.
        targets: GPU generations for the compile tier.
        timeout: Seconds for each child process.
        before: The file before the passes; results should be the same.
        reference: An unquantized parent, or an ``.npz`` with recorded outputs; results should be close.
        inputs: An ``.npz`` with recorded inputs.
        thresholds: By metric.
        layers: Whether to compare layer by layer.
        ep: The execution provider of the run tier: a package, a library, or ``cuda`` or ``cpu``.
        ep_options: Its options.
        baseline: An earlier report to be no worse than.
        runs: Timed runs of the bench tier.
    """

    model: Path
    tiers: tuple[str, ...] = TIERS
    named: bool = False
    shapes: Shapes = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    least: Shapes = field(default_factory=dict)
    most: Shapes = field(default_factory=dict)
    targets: tuple[str, ...] = ("sm120",)
    timeout: float = 600.0
    before: Path | None = None
    reference: Path | None = None
    inputs: Path | None = None
    thresholds: dict[str, float] = field(default_factory=lambda: dict(THRESHOLDS))
    layers: bool = False
    ep: str = DEFAULT_EP
    ep_options: dict[str, str] = field(default_factory=dict)
    baseline: Path | None = None
    runs: int = 50
