"""The contract table as ONNX schemas: onnx's own inference and checker then type and shape the ``trt`` operators and all behind them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import onnx.defs
from onnx.defs import OpSchema

from graphfix.facts.trt_ops import CONTRACTS, DOMAIN, Contract, Shape, element_type, output_shape

# Names that the default domain has too. onnx's reference evaluator cannot be imported while another domain holds a schema of such a
# name, so these are registered only while onnx is being asked.
SHARED_NAMES = frozenset({"DequantizeLinear", "QuantizeLinear"})

_lock = threading.Lock()
_running = 0  # blocks of `registered`, in all threads
_borrowed: set[str] = set()  # the shared names that the last of them takes back


def register(*, shared: bool = False) -> list[str]:
    """Make onnx know the operators that only the ``trt`` domain has, for the rest of the process; with ``shared`` the others too.

    Idempotent. An operator that something else has registered is left as it is. Returns the names that were registered now.
    """
    with _lock:
        return _register(shared=shared)


def _register(*, shared: bool) -> list[str]:
    wanted = [c for c in CONTRACTS.values() if shared or c.op_type not in SHARED_NAMES]
    new = [c for c in wanted if not onnx.defs.has(c.op_type, DOMAIN)]
    for contract in new:
        onnx.defs.register_schema(_schema(contract))
    return [c.op_type for c in new]


@contextmanager
def registered() -> Iterator[None]:
    """Make onnx know the whole table for as long as the block runs, and as long as such a block runs in any other thread."""
    global _running
    with _lock:
        _borrowed.update(SHARED_NAMES.intersection(_register(shared=True)))
        _running += 1
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            while _borrowed and not _running:
                onnx.defs.deregister_schema(_borrowed.pop(), 1, DOMAIN)


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
