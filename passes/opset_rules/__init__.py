"""The rewrites of the opset pass, one file per opset that made them necessary, named in ``graphfix/facts/opset_changes.tsv``.

A rule edits one node in place, so that its name, doc string and metadata stay, and returns the reason why the result means the same;
an empty string says that this node needed nothing. Nodes that a rule adds are written for the opset of the step and migrate with the rest.
"""

from __future__ import annotations

from collections.abc import Callable

from graphfix_passes.opset_rules import to_21, to_22, to_23
from graphfix_passes.opset_rules.edit import Edit

Rule = Callable[[Edit], str]

UPGRADES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        to_21.group_norm_per_channel,
        to_22.pool_shapes,
        to_23.quantize_precision,
    )
}
