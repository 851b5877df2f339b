"""What the quantizers see while they are calibrated: random samples, recorded ones, or the pipeline at work on prompts."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from graphfix.quantize import samples
from graphfix.quantize.export import arguments
from graphfix.quantize.job import Job

Progress = Callable[[str, int, int], None]


def loop(job: Job, dtype: torch.dtype, pipeline: Any, progress: Progress | None) -> Callable[[torch.nn.Module], None]:
    """A function that runs the module over all of the calibration data, as ModelOpt wants it.

    Args:
        job: Names the data.
        dtype: Of the module.
        pipeline: The diffusers pipeline around the module where prompts are used, else None.
        progress: Called with ("calibrating", done, in all).
    """
    path = Path(job.calibration)
    if path.suffix == ".txt":
        return _prompts(path, pipeline, job, progress)

    def run(module: torch.nn.Module) -> None:
        if job.calibration == "random":
            wanted = samples.shapes(job.recipe, job.source.config, job.sizes)
            drawn = samples.random(job.recipe, wanted, job.seed, job.steps)
        else:
            drawn = islice(samples.recorded(path, job.recipe, job.source.config), job.steps)
        with torch.inference_mode():
            for i, sample in enumerate(drawn):
                if progress is not None:
                    progress("calibrating", i, job.steps)
                module(**arguments(sample, job.recipe, dtype, torch.device(job.device)))

    return run


def _prompts(path: Path, pipeline: Any, job: Job, progress: Progress | None) -> Callable[[torch.nn.Module], None]:
    prompts = samples.prompts(path)
    size = job.recipe.call(job.sizes, int(pipeline.vae_scale_factor))

    def run(_: torch.nn.Module) -> None:
        for i, prompt in enumerate(prompts):
            if progress is not None:
                progress("calibrating", i, len(prompts))
            generator = torch.Generator(job.device).manual_seed(job.seed + i)
            pipeline(prompt, num_inference_steps=job.steps, generator=generator, output_type="latent", **size)

    return run
