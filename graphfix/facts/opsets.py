"""What each opset of the default domain changed, and which IR version goes with it.

The rows live in ``opset_changes.tsv``, one for each operator and version; ``tools/make_opset_table.py`` writes them from ``onnx.defs``
and from the decisions it holds, and a test derives them again, so that a new onnx release shows up as a failing row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

OLDEST, NEWEST = 1, 28

# The IR version that an onnx release with this newest opset wrote. Source: onnx docs/Versioning.md, table "Released versions".
IR_VERSION = {
    **dict.fromkeys(range(1, 9), 3),
    9: 4,
    10: 5,
    11: 6,
    **dict.fromkeys((12, 13, 14), 7),
    **dict.fromkeys(range(15, 19), 8),
    **dict.fromkeys((19, 20), 9),
    **dict.fromkeys((21, 22), 10),
    23: 11,
    24: 12,
    **dict.fromkeys((25, 26, 27), 13),
    28: 14,
}

NEW, COMPATIBLE, REWRITE, REFUSE = "new", "compatible", "rewrite", "refuse"


@dataclass(frozen=True)
class OpsetChange:
    """One operator's step from one version to the next.

    Attributes:
        op_type: The operator, in the default domain.
        frm: The version it had; 0 for the row in which it first appears.
        to: The opset that changed it.
        verdict: ``new``, ``compatible`` (a valid node means the same), ``rewrite`` (by the named rule), ``refuse``.
        rule: The rule's name for ``rewrite``.
        down: The rule for the way back (``narrow`` where fitting the older schema is enough), or ``refuse``.
        difference: What changed, as derived from the two schemas.
        source: Where to read about it.
    """

    op_type: str
    frm: int
    to: int
    verdict: str
    rule: str
    down: str
    difference: str
    source: str


def parse(text: str) -> Iterable[OpsetChange]:
    """Read rows from the table's text."""
    for line in text.splitlines()[1:]:
        op_type, frm, to, *texts = line.split("\t")
        yield OpsetChange(op_type, int(frm), int(to), *texts)


@lru_cache(maxsize=1)
def table() -> dict[str, tuple[OpsetChange, ...]]:
    """The rows of each operator, oldest first."""
    rows: dict[str, list[OpsetChange]] = {}
    for row in parse((files("graphfix.facts") / "opset_changes.tsv").read_text(encoding="utf-8")):
        rows.setdefault(row.op_type, []).append(row)
    return {op_type: tuple(sorted(steps, key=lambda row: row.to)) for op_type, steps in rows.items()}


@cache
def version_at(op_type: str, opset: int) -> int:
    """The version of an operator's definition that holds at an opset; 0 where it does not exist yet."""
    return max((row.to for row in table().get(op_type, ()) if row.to <= opset), default=0)
