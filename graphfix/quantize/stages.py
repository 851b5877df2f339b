"""How long a stage takes and how much memory it needs at most."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Stage:
    """A stage that is over.

    Attributes:
        name: What was done.
        seconds: Wall clock.
        peak_bytes: The process' largest resident size, sampled 50 times a second.
        gpu_peak_bytes: The largest amount that torch held on the GPU; 0 without one.
    """

    name: str
    seconds: float = 0.0
    peak_bytes: int = 0
    gpu_peak_bytes: int = 0


@dataclass
class Stages:
    """All stages of a run, in order."""

    device: str
    done: list[Stage] = field(default_factory=list)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside; afterwards what nothing refers to any more is given back."""
        import psutil

        made, stop, process = Stage(name), threading.Event(), psutil.Process(os.getpid())

        def sample() -> None:
            while True:
                made.peak_bytes = max(made.peak_bytes, process.memory_info().rss)
                if stop.wait(0.02):
                    return

        if self.device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
        watcher = threading.Thread(target=sample, daemon=True)
        watcher.start()
        began = time.perf_counter()
        try:
            yield
        finally:
            made.seconds = time.perf_counter() - began
            stop.set()
            watcher.join()
            if self.device == "cuda":
                made.gpu_peak_bytes = torch.cuda.max_memory_allocated()
            self.done.append(made)
            self.release()

    def release(self) -> None:
        """Give back memory that nothing refers to."""
        gc.collect()
        if self.device == "cuda":
            import torch

            torch.cuda.empty_cache()
