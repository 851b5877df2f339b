"""io: inputs, outputs and their axes are called what the pipeline around the model expects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from graphfix.base import Change, Context, Pass, documented, free_options
from graphfix.model import shape_text
from graphfix_passes import dims


@dataclass(frozen=True)
class Options:
    """Inputs and outputs to rename as ``old=new``."""

    like: str = documented("auto", "the input whose axes an output shares: its name; auto: the first that fits; none")
    names: dict[str, str] = free_options()


class Io(Pass):
    """Inputs and outputs get the names that the options give; outputs get axis names that inputs have.

    Why: a pipeline finds outputs by name and computes their shapes from the names of axes. torch invents names such as
    ``Addlatent_dim_1`` for axes that it cannot follow, and binding such an output fails with
    ``NameError: name 'Addlatent_dim_1' is not defined``.

    Before: ``latent [batch_size, Addlatent_dim_1, Addlatent_dim_2]``.

    After: ``io{latent=out_hidden_states}``: ``out_hidden_states [batch_size, latent_dim, 64]``. What an axis is called comes from shape
    inference where that reaches, else from the first input of the same rank whose axes do not contradict it (a denoiser returns what it is
    given, denoised); ``like`` names another input, or none.

    Leaves alone: axis names that some input has; sizes.
    """

    name = "io"
    summary = "Inputs, outputs and invented axes renamed: io{latent=out_hidden_states}"
    Options = Options
    after = ("symbolic-dims", "static-shapes", "io-types")
    changes_interface = True

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each renamed value and each output with new axes."""
        yield from self._rename(model, ctx)
        if self.options.like == "none":
            return
        if self.options.like != "auto" and self.options.like not in {value.name for value in model.graph.inputs}:
            raise ctx.refuse(model, f"like={self.options.like}", "the model has no such input")
        given = {name for value in model.graph.inputs for dim in value.shape or () if (name := dims.name_of(dim)) is not None}
        types = None
        for value in model.graph.outputs:
            if value.shape is None or all(isinstance(dim, int) or dims.name_of(dim) in given for dim in value.shape):
                continue
            types = types or ctx.types()
            inferred = types[value].shape if value in types else None
            pattern = self._pattern(model, value.shape, inferred, given)
            before, after = value.shape, []
            for axis, dim in enumerate(before):
                best = inferred[axis] if inferred is not None and len(inferred) == len(before) else None
                for candidate in (dim, best, pattern[axis] if pattern is not None else None):
                    if isinstance(candidate, int) or (candidate is not None and dims.name_of(candidate) in given):
                        after.append(candidate)
                        break
                else:
                    after.append(dim)
            if after != list(before):
                value.shape = ir.Shape(after)
                yield ctx.change(value, "axes", shape_text(before), shape_text(value.shape), "no input has an axis of the invented name")

    def _rename(self, model: ir.Model, ctx: Context) -> Iterator[Change]:
        ends = {value.name: value for value in (*model.graph.inputs, *model.graph.outputs)}
        for old, new in self.options.names.items():
            if new in ends and old not in ends:
                continue  # done by an earlier run
            if old not in ends:
                raise ctx.refuse(model, f"to rename {old!r}", f"inputs and outputs: {', '.join(filter(None, ends))}")
            if ctx.names.fresh(new) != new:
                raise ctx.refuse(ends[old], f"the name {new!r}", "another value or node of the model has it")
            ends[old].name = new
            yield Change(new, "name", old, new, "set by the option")

    def _pattern(self, model: ir.Model, shape: ir.Shape, inferred: ir.Shape | None, given: set[str]) -> ir.Shape | None:
        for value in model.graph.inputs:
            if value.shape is None or len(value.shape) != len(shape) or self.options.like not in {"auto", value.name}:
                continue
            known = [d if isinstance(d, int) or dims.name_of(d) in given else None for d in shape]
            better = list(inferred) if inferred is not None and len(inferred) == len(shape) else [None] * len(shape)
            fixed = [a if a is not None else b if isinstance(b, int) else None for a, b in zip(known, better, strict=True)]
            if all(f is None or f == d or isinstance(f, int) != isinstance(d, int) for f, d in zip(fixed, value.shape, strict=True)):
                return value.shape
        return None
