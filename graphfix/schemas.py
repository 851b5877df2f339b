"""The contract table as ONNX schemas: onnx's own inference and checker then type and shape the ``trt`` operators and all behind them."""

from __future__ import annotations

import importlib
from typing import Any

import onnx
import onnx.defs
from onnx.defs import OpSchema

from graphfix.facts.trt_ops import CONTRACTS, DOMAIN, Contract, Shape, element_type, output_shape


def register() -> None:
    """Make onnx know the table: shape inference and the checker then type and shape these operators and all behind them.

    Idempotent. An operator that something else has registered in this process is left as it is.
    """
    if all(onnx.defs.has(contract.op_type, DOMAIN) for contract in CONTRACTS.values()):
        return
    # onnx.reference reads all schemas when it is first imported, and fails where a second domain has an operator of the same name.
    importlib.import_module("onnx.reference")
    for contract in CONTRACTS.values():
        if not onnx.defs.has(contract.op_type, DOMAIN):
            onnx.defs.register_schema(_schema(contract))


def _schema(contract: Contract) -> Any:
    Port = OpSchema.FormalParameter
    option = OpSchema.FormalParameterOption
    constraints = [(f"T{i}", [f"tensor({t})" for t in types], f"types of {name}") for i, (name, types, _) in enumerate(contract.inputs)] + [
        (f"U{i}", [f"tensor({t})" for t in row.typing.allowed], f"types of {row.name}") for i, row in enumerate(contract.outputs)
    ]
    schema = OpSchema(
        contract.op_type,
        DOMAIN,
        1,
        doc=contract.source,
        inputs=[
            Port(name, f"T{i}", param_option=option.Optional if optional else option.Single)
            for i, (name, _, optional) in enumerate(contract.inputs)
        ],
        outputs=[Port(row.name, f"U{i}") for i, row in enumerate(contract.outputs)],
        type_constraints=constraints,
        attributes=[OpSchema.Attribute(name, OpSchema.AttrType.INT, required=False) for name in contract.attributes],
    )
    schema.set_type_and_shape_inference_function(lambda ctx: _infer(contract, ctx))
    return schema


def _infer(contract: Contract, ctx: Any) -> None:
    def attribute(name: str) -> int | None:
        found = ctx.get_attribute(name)
        return found.i if found is not None else None

    types = [ctx.get_input_type(i) for i in range(ctx.get_num_inputs())]
    names = [
        onnx.TensorProto.DataType.Name(t.tensor_type.elem_type).lower() if t is not None and t.tensor_type.elem_type else None
        for t in types
    ]
    first = types[0].tensor_type if types and types[0] is not None else None
    shape: Shape = None
    if first is not None and first.HasField("shape"):
        shape = [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in first.shape.dim]
    for port in range(min(len(contract.outputs), ctx.get_num_outputs())):
        name = element_type(contract, port, names, attribute)
        if not name:
            continue
        out = onnx.TypeProto()
        out.tensor_type.elem_type = onnx.TensorProto.DataType.Value(name.upper())
        dims = output_shape(contract, port, shape, attribute)
        if dims is not None:
            out.tensor_type.shape.SetInParent()
            for dim in dims:
                new = out.tensor_type.shape.dim.add()
                if isinstance(dim, int):
                    new.dim_value = dim
                elif dim:
                    new.dim_param = dim
        ctx.set_output_type(port, out)
