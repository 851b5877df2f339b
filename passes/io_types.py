"""io-types: inputs and outputs have the element types that the pipeline around the model works in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from graphfix.base import Change, Context, Pass, free_options
from graphfix.model import data_type, opset_version, tensor_type

DT = ir.DataType
# What a Cast converts by value since opset 6 or, for bfloat16, 13; strings and sub-byte types are no pipeline's interface.
NUMBERS = frozenset({DT.FLOAT, DT.FLOAT16, DT.BFLOAT16, DT.DOUBLE, DT.INT8, DT.INT16, DT.INT32, DT.INT64, DT.UINT8, DT.BOOL})


@dataclass(frozen=True)
class Options:
    """Inputs and outputs with the type to give them, ``sample=FLOAT``."""

    types: dict[str, str] = free_options()


class IoTypes(Pass):
    """Inputs and outputs get the types that the options give, with a Cast between them and the graph.

    Why: numpy and optimum have no bfloat16: ``ValueError: tensor(bfloat16) not found in map``. And an output of another type than its
    pipeline's is silent garbage where the pipeline binds a buffer of its own to it.

    Before: ``sample FLOAT16`` made by ``Add``.

    After: ``io-types{sample=FLOAT}``: ``sample FLOAT`` made by ``Cast{to=FLOAT}`` behind that ``Add``. An input is cast at the beginning of
    the graph to what it was.

    Leaves alone: what computes between; inputs and outputs that have the type. Refused: types that no Cast converts by value.
    """

    name = "io-types"
    summary = "Inputs and outputs get element types by a Cast: io-types{sample=FLOAT}"
    Options = Options
    after = ("opset", "trt-types", "known-defects")
    changes_interface = True

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each input and output with a new type."""
        inputs = {value.name: value for value in model.graph.inputs if not value.is_initializer()}
        outputs = {value.name: value for value in model.graph.outputs}
        if not self.options.types:
            raise ctx.refuse(model, "to guess types", "no option names any", f"{self.name}{{{next(iter(outputs), 'output')}=FLOAT}}")
        for name, text in self.options.types.items():
            value, wanted = inputs.get(name, outputs.get(name)), data_type(text)
            if value is None:
                raise ctx.refuse(model, f"{name}={text}", f"inputs and outputs: {', '.join(filter(None, (*inputs, *outputs)))}")
            found = tensor_type(value)
            if wanted == found:
                continue
            modern = (opset_version(model.opset_imports) or 0) >= 13
            if found not in NUMBERS or wanted not in NUMBERS or (DT.BFLOAT16 in {found, wanted} and not modern):
                has = found.name if found is not None else "of no known type"
                raise ctx.refuse(value, f"{name}={text}", f"it is {has}, and no Cast of this opset converts that by value")
            if name in inputs:
                self._input(model, value, found, wanted, ctx)
            else:
                self._output(model, value, found, wanted, ctx)
            yield Change(name, "element type", found.name, wanted.name, "set by the option")

    def _input(self, model: ir.Model, value: ir.Value, found: DT, wanted: DT, ctx: Context) -> None:
        """Cast an input to the type that the graph reads."""
        cast = _cast(value, found, ctx)
        for user, index in tuple(value.uses()):
            if user is not cast:
                user.replace_input_with(index, cast.outputs[0])
        value.type = ir.TensorType(wanted)  # not value.dtype: a copy of the model shares the type object
        model.graph.insert_before(model.graph[0], cast)

    def _output(self, model: ir.Model, value: ir.Value, found: DT, wanted: DT, ctx: Context) -> None:
        """Cast an output from the type that the graph makes; what reads it inside the graph goes on reading that."""
        if value.producer() is None:
            raise ctx.refuse(value, f"{value.name}={wanted.name}", "the output is an initializer")
        name = value.name or ""
        value.name = ctx.names.fresh(f"{name}/{found.name}")
        cast = _cast(value, wanted, ctx)
        cast.outputs[0].name = name
        model.graph.outputs[model.graph.outputs.index(value)] = cast.outputs[0]
        model.graph.append(cast)


def _cast(value: ir.Value, to: DT, ctx: Context) -> ir.Node:
    node = ir.node("Cast", [value], attributes={"to": to.value}, name=ctx.names.fresh(f"{value.name}/Cast"))
    made = node.outputs[0]
    made.name, made.type, made.shape = ctx.names.fresh(f"{node.name}_output_0"), ir.TensorType(to), value.shape
    return node
