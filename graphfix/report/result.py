"""The result of a validation: one model of data, of which every format is a rendering."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from graphfix._version import __version__

SCHEMA = 1  # raised when a field changes its meaning or goes away

PASSED, FAILED, SKIPPED, INFO = "passed", "failed", "skipped", "info"
RUNTIMES = ("onnx", "onnx-ir", "onnxruntime", "onnxruntime-gpu", "tensorrt-rtx-cu13", "tensorrt-rtx-cu12")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        tier: The tier that looked.
        name: What it looked at, unique within the tier.
        status: ``passed``, ``failed``, ``skipped`` or ``info``.
        message: What was found, in a sentence; for ``skipped`` the reason.
        where: The node or file, if there is one.
        value: The measured number, if there is one, with its ``unit``.
        threshold: What the value was held against.
        at_least: Whether the value must be at least the threshold; at most otherwise.
        fix: What to type to mend it.
        seconds: How long it took.
        details: Further numbers, JSON-ready.
    """

    tier: str
    name: str
    status: str
    message: str = ""
    where: str = ""
    value: float | None = None
    unit: str = ""
    threshold: float | None = None
    at_least: bool = False
    fix: str = ""
    seconds: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def margin(self) -> float | None:
        """How far on the right side of the threshold the value is; negative on the wrong side."""
        if self.value is None or self.threshold is None:
            return None
        return self.value - self.threshold if self.at_least else self.threshold - self.value

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, without what is empty."""
        row = {k: v for k, v in dataclasses.asdict(self).items() if v not in (None, "", {}) or k in {"tier", "name", "status"}}
        if self.margin is not None:
            row["margin"] = self.margin
        return row


def without_folders(item: Any, folders: Mapping[str, str]) -> Any:
    """A check, or a part of one, with folders of this machine replaced: what a report says is for others to read.

    Args:
        item: A `Check`, or what its fields hold.
        folders: What to write for each folder; longer ones are replaced first.
    """
    if isinstance(item, Check):
        return Check(**{f.name: without_folders(getattr(item, f.name), folders) for f in dataclasses.fields(item)})
    if isinstance(item, dict):
        return {key: without_folders(value, folders) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return type(item)(without_folders(value, folders) for value in item)
    if not isinstance(item, str):
        return item
    for folder in sorted(folders, key=len, reverse=True):
        for spelled in (folder, folder.replace("\\", "\\\\"), folder.replace("\\", "/")):
            for separator in ("/", "\\\\", "\\"):
                item = item.replace(spelled.rstrip("/\\") + separator, folders[folder])
    return item


def hold(tier: str, name: str, value: float, threshold: float, *, at_least: bool, **rest: Any) -> Check:
    """A check of a number against a threshold; a value that is not a number fails."""
    good = value >= threshold if at_least else value <= threshold
    return Check(tier, name, PASSED if good else FAILED, value=value, threshold=threshold, at_least=at_least, **rest)


@dataclass
class Report:
    """Everything a validation found.

    Attributes:
        model: Name, digest of the header, bytes of header and data, the pass log from the provenance, counts.
        checks: In the order in which they were made.
    """

    model: dict[str, Any]
    checks: list[Check] = field(default_factory=list)

    @property
    def failed(self) -> list[Check]:
        """What went wrong."""
        return [check for check in self.checks if check.status == FAILED]

    @property
    def passed(self) -> bool:
        """Whether nothing went wrong. What was skipped is neither."""
        return not self.failed

    def tiers(self) -> dict[str, list[Check]]:
        """The checks of each tier, in order."""
        found: dict[str, list[Check]] = {}
        for check in self.checks:
            found.setdefault(check.tier, []).append(check)
        return found

    def verdict(self) -> str:
        """One line: what can be said of the model, and what was not looked at."""
        tiers = self.tiers()
        ran = [t for t, checks in tiers.items() if any(c.status in {PASSED, FAILED} for c in checks)]
        skipped = [t for t in tiers if t not in ran and any(c.status == SKIPPED for c in tiers[t])]
        tail = f"; not looked at: {', '.join(skipped)}" if skipped else ""
        if self.failed:
            return f"FAILED {len(self.failed)} of {sum(c.status in {PASSED, FAILED} for c in self.checks)} checks{tail}"
        return f"PASSED {', '.join(ran) or 'nothing'}{tail}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "schema": SCHEMA,
            "tool": tool(installed(RUNTIMES)),
            "model": self.model,
            "verdict": self.verdict(),
            "passed": self.passed,
            "checks": [check.as_dict() for check in self.checks],
        }


def tool(packages: dict[str, str]) -> dict[str, Any]:
    """What made a report."""
    return {"name": "graphfix", "version": __version__, "python": platform.python_version(), "packages": packages}


def installed(names: tuple[str, ...]) -> dict[str, str]:
    """The versions of those of ``names`` that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
