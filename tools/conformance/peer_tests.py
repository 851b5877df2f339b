"""onnx's own upgrade tests, with another converter standing in for onnx's.

The tests look the converter up as ``onnx.version_converter.convert_version``. They come in onnx's source distribution, which pip fetches.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import onnx.version_converter
import pytest

from conformance.running import ENGINES, FEEDS, all_same, attempt, opset, random_feeds

Converter = Callable[[onnx.ModelProto, int], onnx.ModelProto]
SUITE = "tests/python/version_converter"


@dataclass
class Outcome:
    """What came of one test.

    Attributes:
        test: Its name.
        passed: Whether the test's own assertions hold.
        calls: (before, target, after) of each conversion; ``after`` is None where the converter raised.
        problem: Why the test does not count as clean; empty if it does.
    """

    test: str
    passed: bool = False
    calls: list[tuple[onnx.ModelProto, int, onnx.ModelProto | None]] = field(default_factory=list)
    problem: str = ""


def fetch(cache: Path) -> Path:
    """The folder with the tests of the installed onnx release, downloaded and unpacked below ``cache`` if it is not there yet."""
    name = f"onnx-{onnx.__version__}"
    suite = cache / name / SUITE
    if not suite.exists():
        cache.mkdir(parents=True, exist_ok=True)
        archive = cache / f"{name}.tar.gz"
        if not archive.exists():
            download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
            result = subprocess.run([*download, f"onnx=={onnx.__version__}", "-d", str(cache)], capture_output=True, text=True, check=False)
            if not archive.exists():  # building its metadata may fail behind the download
                raise SystemExit(f"pip cannot fetch the source distribution of onnx {onnx.__version__}:\n{result.stderr}")
        with tarfile.open(archive) as tar, tempfile.TemporaryDirectory(dir=cache) as fresh:
            for member in tar.getmembers():
                parts = Path(member.name).parts
                if member.isfile() and "/".join(parts[1:-1]) == SUITE and ".." not in parts:
                    target = Path(fresh, *parts)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    source = tar.extractfile(member)
                    target.write_bytes(source.read() if source else b"")
            Path(fresh, name).rename(cache / name)
    return suite


@contextmanager
def _standing_in(converter: Converter) -> Iterator[None]:
    real = onnx.version_converter.convert_version
    onnx.version_converter.convert_version = converter  # type: ignore[assignment]
    try:
        yield
    finally:
        onnx.version_converter.convert_version = real


class _Recorder:
    def __init__(self, converter: Converter) -> None:
        self.converter, self.outcomes = converter, dict[str, Outcome]()
        self.current = Outcome("")

    def convert(self, model: onnx.ModelProto, target: int) -> onnx.ModelProto:
        before = onnx.ModelProto()
        before.CopyFrom(model)
        self.current.calls.append((before, target, None))
        after = self.converter(model, target)
        self.current.calls[-1] = (before, target, after)
        return after

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.current = self.outcomes[item.name] = Outcome(item.name)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.current.passed = report.passed


def run(suite: Path, converter: Converter, target: int, file: str = "automatic_upgrade_test.py") -> list[Outcome]:
    """Run the suite; tests that start above ``target`` are left out, as is the one that counts the others."""
    sys.path.insert(0, str(suite))
    recorder = _Recorder(converter)
    try:
        base: Any = importlib.import_module("automatic_conversion_test_base")
        base.LATEST_OPSET = target
        with _standing_in(recorder.convert):
            options = ["-p", "no:cacheprovider", "-q", "--no-header", "--no-summary", "--tb=no", f"--rootdir={suite}", "-o", "addopts="]
            pytest.main([*options, str(suite / file)], plugins=[recorder])
    finally:
        sys.path.remove(str(suite))
        for name in ("automatic_conversion_test_base", Path(file).stem):
            sys.modules.pop(name, None)
    kept = [o for o in recorder.outcomes.values() if o.test != "test_ops_tested" and all(opset(b) <= max(t, target) for b, t, _ in o.calls)]
    kept = [o for o in kept if all(opset(before) <= to for before, to, _ in o.calls)]
    for outcome in kept:
        outcome.problem = _problem(outcome)
    return kept


def _problem(outcome: Outcome) -> str:
    if not outcome.passed:
        return "the test's own assertions fail"
    for before, target, after in outcome.calls:
        if after is None:
            continue
        if opset(after) != target:
            return f"opset {opset(after)} instead of {target}"
        if [v.name for v in before.graph.output] != [v.name for v in after.graph.output]:
            return "outputs renamed"
        for kind in FEEDS:
            found = _difference(before, after, kind)
            if found:
                return found
    return ""


def _difference(before: onnx.ModelProto, after: onnx.ModelProto, kind: str) -> str:
    feeds = random_feeds(before, kind)
    if feeds is None:
        return ""
    lost = ""
    for engine in ENGINES:
        wanted = attempt(engine, before, feeds)
        if isinstance(wanted, str):
            continue
        again, got = attempt(engine, before, feeds), attempt(engine, after, feeds)
        if isinstance(got, str):
            lost = lost or f"ran before, not after: {got}"
            continue
        steady = not isinstance(again, str) and all_same(wanted, again)
        if steady and not all_same(wanted, got, 1e-5):
            # Where the runtime fell out, the reference is alone with its own reading of old versions (RoiAlign-10).
            return lost or "different numbers"
        return ""
    return lost
