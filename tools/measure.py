"""A process, its time and its peak memory, watched from outside."""

from __future__ import annotations

import json
import math
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from bench_peers import last_line


@dataclass
class Run:
    """One measured process: how it ended, and what it cost."""

    status: str
    says: str = ""
    process: float = 0.0
    seconds: float | None = None
    megabytes: float = 0.0


def watch(process: subprocess.Popen[Any], limit: float = math.inf, most: float = math.inf) -> tuple[float, str]:
    """Peak resident MB of a process with what it started, sampled until it ends, or is ended beyond a limit (then why)."""
    peak, began = 0.0, time.perf_counter()
    with_children = 0
    try:
        root = psutil.Process(process.pid)
        family = [root]
        while process.poll() is None:
            if with_children % 25 == 0:
                family = [root, *root.children(recursive=True)]
            with_children += 1
            held = 0
            for member in family:
                try:
                    held += member.memory_info().rss
                except psutil.Error:
                    continue
            peak = max(peak, held / 2**20)
            over = f"> {limit:g} s" if time.perf_counter() - began > limit else f"> {most / 1024:.0f} GB" if peak > most else ""
            if over:
                for member in reversed(family):
                    try:
                        member.kill()
                    except psutil.Error:
                        continue
                return peak, over
            time.sleep(0.02)
    except psutil.Error:
        pass
    return peak, ""


def execute(command: Sequence[str], limit: float, most: float, scratch: Path | None = None) -> Run:
    """Run a command to its end or to a limit. What it leaves among temporary files is removed: some peers write the weights there."""
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True) as temporary,
    ):
        environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), temporary)}
        found: list[tuple[float, str]] = []
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, text=True, env=environment)
        watcher = threading.Thread(target=lambda: found.append(watch(process, limit, most)))
        watcher.start()
        process.wait()
        seconds = time.perf_counter() - began
        watcher.join()
        (sampled, over), texts = found[0], []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read())
    if over:
        return Run("timeout" if over.endswith("s") else "memory", over, seconds, None, sampled)
    if process.returncode:
        death = f"signal {-process.returncode}" if process.returncode < 0 else f"exit code {process.returncode}"
        return Run("failed", last_line(texts[1]) or death, seconds, None, sampled)
    lines = [line for line in texts[0].splitlines() if line.startswith('{"')]
    told = json.loads(lines[-1]) if lines else {}
    return Run("ok", told.get("verdict", ""), seconds, told.get("seconds", seconds), max(sampled, told.get("megabytes", 0.0)))
