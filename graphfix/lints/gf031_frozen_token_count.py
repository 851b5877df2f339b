"""GF031: a Reshape whose constant target fixes the length of a dynamic axis."""

from __future__ import annotations

import math
from collections.abc import Iterable

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext
from graphfix.model import dim_unknown, operand, shape_text

FREE = -1  # an entry of the target that adapts itself: -1, a copied dimension, or a computed one


class FrozenTokenCount(Lint):
    """## What it does
    Looks for Reshape nodes on an input with named (dynamic) dimensions, whose target has constants that the fixed dimensions of the
    input cannot make up; and for those that split the last dimension into pairs and have a constant for every dimension between it and
    the batch, of which not all are fixed. What inference leaves unknown is otherwise not judged.

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
            shape = ctx.shape(operand(node))
            if _frozen_product(target, shape) or _frozen_pairs(target, shape):
                entries = ", ".join("?" if entry == FREE else str(entry) for entry in target)
                yield self.finding(ctx, node, f"target ({entries}) fixes a dynamic dimension of the input {shape_text(shape)}")


def _frozen_product(target: list[int], shape: ir.Shape | None) -> bool:
    """Whether a target's constants need more than the fixed dimensions hold; judged where every dimension has a number or a name."""
    if shape is None or any(dim_unknown(d) for d in shape) or all(isinstance(d, int) for d in shape):
        return False
    fixed = math.prod(d for d in shape if isinstance(d, int))
    wanted = math.prod(entry for entry in target if entry != FREE)
    return FREE not in target or bool(fixed and wanted and fixed % wanted)


def _frozen_pairs(target: list[int], shape: ir.Shape | None) -> bool:
    """Whether the last dimension is split into pairs, as rotary embeddings do, with constants for all dimensions between it and the batch.

    The dimensions before the pairs are copied one to one, so this needs no shape inference: it is enough that not all have numbers.
    """
    rank = len(target) - 1
    if rank < 3 or target[-2:] != [FREE, 2] or (shape is not None and len(shape) != rank):
        return False
    between = range(1, rank - 1)
    return all(target[i] != FREE for i in between) and not (shape is not None and all(isinstance(shape[i], int) for i in between))


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
