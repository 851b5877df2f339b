"""What runtimes can load: newest opset and IR version by release, and operators whose newer version has no kernel.

Sources: measured with each release's wheel (a model of one Identity at rising opset and IR version), and for kernels with the CPU execution
provider of ONNX Runtime 1.32.0, which says NOT_IMPLEMENTED; ``tests/facts/test_runtimes.py`` asks the installed release again.
"""

from __future__ import annotations

from dataclasses import dataclass

RUNTIME = "ONNX Runtime"
COMMON = "1.24"  # the oldest release that graphfix itself works with: what needs a newer one is worth a warning
MEASURED = "1.32"


@dataclass(frozen=True)
class Release:
    """A runtime release: the newest default-domain opset and IR version that it loads."""

    version: str
    opset: int
    ir_version: int


# Oldest first; releases between two rows were not measured and load what the older one loads.
RELEASES = (
    Release("1.19", 21, 10),
    Release("1.21", 22, 10),
    Release("1.23", 23, 11),
    Release("1.24", 25, 13),
    Release("1.26", 26, 13),
    Release("1.32", 28, 14),
)

# (operator, its version) -> the first release whose CPU provider has a kernel, where that is later than the release that knows the opset.
FIRST_KERNEL = {("QuantizeLinear", 23): "1.24", ("DequantizeLinear", 23): "1.24"}

# Operators that the CPU provider of release `MEASURED` runs up to the version before, and not from this one on.
NO_CPU_KERNEL = {
    "Bernoulli": 22,  # its function body draws with RandomUniformLike-22
    "DequantizeLinear": 28,
    "GlobalLpPool": 22,
    "MaxRoiPool": 22,
    "Multinomial": 22,
    "Optional": 28,
    "OptionalGetElement": 28,
    "OptionalHasElement": 28,
    "QuantizeLinear": 28,
    "RandomNormal": 22,
    "RandomNormalLike": 22,
    "RandomUniform": 22,
    "RandomUniformLike": 22,
    "RoiAlign": 22,
}


def newer(a: str, b: str) -> bool:
    """Whether release ``a`` came after ``b``."""
    return _key(a) > _key(b)


def oldest_release(opset: int, ir_version: int, operators: frozenset[tuple[str, int]] = frozenset()) -> str | None:
    """The oldest release that loads a model with these operators (name, version) and runs it on the CPU; None where none is known to."""
    rows = [row.version for row in RELEASES if row.opset >= opset and row.ir_version >= ir_version]
    later = [FIRST_KERNEL[operator] for operator in operators if operator in FIRST_KERNEL]
    return max(rows[0], *later, key=_key) if rows and later else rows[0] if rows else None


def newest(release: tuple[int, int]) -> tuple[int, int] | None:
    """(opset, IR version) that a release loads, by the newest row that is not newer; None for a release older than the table."""
    rows = [row for row in RELEASES if _key(row.version) <= release]
    return (rows[-1].opset, rows[-1].ir_version) if rows else None


def _key(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
