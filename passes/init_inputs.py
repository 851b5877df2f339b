"""init-inputs: initializers leave the graph inputs."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Change, Context, Pass


class InitInputs(Pass):
    """Initializers leave the graph inputs.

    Why: ModelOpt's NVFP4 exporter lists every weight tensor among the graph inputs. Since IR version 4 that makes each of them a
    default that a caller may override, so no runtime may fold it, and an optimization profile would be asked for it.

    Before: an initializer whose name is also a graph input.

    After: the initializer alone. The remaining inputs keep their order.

    Leaves alone: inputs without an initializer; models of IR version 3 and older, which require the listing.
    """

    name = "init-inputs"
    summary = "Initializers leave the graph inputs, where ModelOpt's NVFP4 export puts them"
    changes_interface = True

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each initializer that was an input."""
        if model.ir_version is not None and model.ir_version < 4:
            return
        kept = []
        for value in model.graph.inputs:
            if value.name in model.graph.initializers:
                yield ctx.change(value, "graph input", "listed", "initializer only", "a weight is not an input since IR version 4")
            else:
                kept.append(value)
        if len(kept) < len(model.graph.inputs):
            model.graph.inputs[:] = kept
