"""GF031: a Reshape whose constant target fixes the length of a dynamic axis."""

from __future__ import annotations

import math
from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext
from graphfix.model import dim_unknown

FREE = -1  # an entry of the target that adapts itself: -1, a copied dimension, or a computed one


class FrozenTokenCount(Lint):
    """## What it does
    Looks for Reshape nodes on an input with named (dynamic) dimensions, whose target has constants that the fixed dimensions of the input
    cannot make up. Only inputs whose dimensions are all known by number or name are judged.

    ## Why is this bad?
    The interface promises any length and the graph works at one: ``latent_dim`` is dynamic, and a constant in the rotary embedding is the
    number of image tokens that the model was traced with. Flux exported with diffusers 0.35 or newer fails at every other resolution.

    ## Example
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float16[batch, tokens, 2, 32] x) => (float16[b, 64, 2, 16, 2] y) {
      shape = Constant <value_ints = [-1, 64, 2, 16, 2]> ()
      y = Reshape (x, shape)
    }
    ```

    ## Use instead
    ```onnx
    <ir_version: 11, opset_import: ["" : 23]>
    g (float16[batch, tokens, 2, 32] x) => (float16[batch, tokens, 2, 16, 2] y) {
      shape = Constant <value_ints = [0, -1, 2, 16, 2]> ()
      y = Reshape (x, shape)
    }
    ```

    ## References
    - https://github.com/huggingface/optimum-onnx (model_patcher.py: the rotary embedding gets exported with a constant shape)
    """

    code = "GF031"
    name = "frozen-token-count"
    level = "warning"

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each Reshape."""
        for _, node in ctx.find("Reshape"):
            target = _target(node.inputs[1] if len(node.inputs) > 1 else None, ctx)
            if target is None or all(entry == FREE for entry in target):
                continue
            shape = ctx.shape(node.inputs[0])
            if shape is None or any(dim_unknown(d) for d in shape) or all(isinstance(d, int) for d in shape):
                continue
            fixed = math.prod(d for d in shape if isinstance(d, int))
            wanted = math.prod(entry for entry in target if entry != FREE)
            if FREE not in target or (fixed and wanted and fixed % wanted):
                entries = ", ".join("?" if entry == FREE else str(entry) for entry in target)
                yield self.finding(ctx, node, f"target ({entries}) fixes a dynamic dimension of the input [{', '.join(map(str, shape))}]")


def _target(value: ir.Value | None, ctx: LintContext) -> list[int] | None:
    """The entries of a target shape, constants as they are and computed ones as `FREE`; None where nothing is known of it."""
    if value is None:
        return None
    found = ctx.small_constant(value)
    if found is not None:
        return [FREE if n <= 0 else int(n) for n in found.ravel()]
    producer = value.producer()
    if producer is None or producer.op_type != "Concat" or producer.domain:
        return None
    target: list[int] = []
    for part in producer.inputs:
        values = ctx.small_constant(part)
        target += [FREE] if values is None else [FREE if n <= 0 else int(n) for n in values.ravel()]
    return target
