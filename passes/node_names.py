"""node-names: every node has a name, and no two in a graph the same."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Change, Context, Pass
from graphfix.model import scopes


class NodeNames(Pass):
    """Nodes without a name, or with another node's name, get one of their own.

    Why: ModelOpt's NVFP4 exporter leaves its Casts unnamed. Error messages, profiles and placement reports then cannot say which node
    they mean, and tools that keep nodes in a table by name lose some.

    Before: ``Cast`` without a name.

    After: ``Cast_1``, by operator and the next free number; the same model gets the same names.

    Leaves alone: names that are unique in the model; values.
    """

    name = "node-names"
    summary = "Nodes without a name of their own get one"

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each named node."""
        seen: set[str] = set()
        for scope in scopes(model):
            for node in scope.body:
                if node.name and node.name not in seen:
                    seen.add(node.name)
                    continue
                why = "another node has the same name" if node.name else "it had none"
                place, before = ctx.where(node), node.name or "unnamed"
                node.name = ctx.names.fresh(node.op_type)
                seen.add(node.name)
                yield Change(place, "node name", before, node.name, why)
