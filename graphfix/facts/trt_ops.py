"""The operators of domain ``trt``: what each output's element type and shape is, by operator and port.

Passes ask it directly, and `graphfix.schemas` turns it into ONNX schemas so that onnx's own shape inference and checker work
from the same rows.

Sources: the operators that ONNX Runtime's TensorRT-RTX EP registers (nv_execution_provider_custom_ops.cc), TensorRT's operator
importers (onnx-tensorrt, onnxOpImporters.cpp), ModelOpt's exporters (modelopt/torch/quantization/export_onnx.py, modelopt/onnx/export).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

DOMAIN = "trt"

FLOATS = ("float", "float16", "bfloat16")
# What the default-domain QuantizeLinear and DequantizeLinear of opset 23 store.
QUANTIZED = ("int8", "uint8", "int16", "uint16", "int4", "uint4", "float8e4m3fn", "float8e5m2", "float4e2m1", "int32")

# TensorProto.DataType numbers that an ``output_dtype`` attribute may hold (onnx.proto, enum DataType).
TYPE_NAMES = {
    1: "float",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    10: "float16",
    16: "bfloat16",
    17: "float8e4m3fn",
    19: "float8e5m2",
    21: "uint4",
    22: "int4",
    23: "float4e2m1",
}

Dim = int | str | None
Shape = Sequence[Dim] | None


@dataclass(frozen=True)
class Typing:
    """How one output gets its element type.

    Attributes:
        fixed: An ONNX type name, or empty.
        attribute: An integer attribute that holds a TensorProto.DataType; wins where present and not 0.
        like: The input whose element type the output has otherwise (-1: none).
        allowed: Type names that the schema admits.
    """

    fixed: str = ""
    attribute: str = ""
    like: int = -1
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Output:
    """One output port: its name, its typing, and the attribute that divides ``axis`` of input 0's shape (empty: same shape)."""

    name: str
    typing: Typing
    blocked: bool = False


@dataclass(frozen=True)
class Contract:
    """One operator.

    Attributes:
        op_type: Its name in domain ``trt``.
        inputs: (name, admitted types, optional) for each input port.
        outputs: One row for each output port.
        attributes: Name and default of each integer attribute; None where absent means absent.
        ep_registers: Whether ONNX Runtime's TensorRT-RTX EP registers it (0.5.0).
        source: Where the row was read.
    """

    op_type: str
    inputs: tuple[tuple[str, tuple[str, ...], bool], ...]
    outputs: tuple[Output, ...]
    attributes: Mapping[str, int | None] = field(default_factory=dict)
    ep_registers: bool = False
    source: str = ""


_EP = "onnxruntime nv_execution_provider_custom_ops.cc; "
_SCALE_FIRST = Typing(attribute="output_dtype", like=1, allowed=FLOATS)

CONTRACTS: dict[str, Contract] = {
    row.op_type: row
    for row in (
        Contract(
            "TRT_FP4DynamicQuantize",
            (("x", FLOATS, False), ("scale", ("float", "float16", "bfloat16"), False)),
            (
                Output("y", Typing(fixed="float4e2m1", allowed=("float4e2m1",))),
                Output("y_scale", Typing(fixed="float8e4m3fn", allowed=("float8e4m3fn",)), blocked=True),
            ),
            {"axis": 1, "block_size": 16, "scale_type": 17},
            True,
            _EP + "onnx-tensorrt onnxOpImporters.cpp (axis defaults to 1)",
        ),
        Contract(
            "TRT_FP8QuantizeLinear",
            (("x", FLOATS, False), ("y_scale", FLOATS, False)),
            (Output("y", Typing(fixed="float8e4m3fn", allowed=("float8e4m3fn",))),),
            {},
            True,
            _EP + "modelopt export_onnx.py says UINT8, which is what torch can express",
        ),
        Contract(
            "TRT_FP8DequantizeLinear",
            (("x", ("float8e4m3fn", "uint8"), False), ("x_scale", FLOATS, False)),
            (Output("y", Typing(like=1, allowed=FLOATS)),),
            {},
            True,
            _EP + "modelopt export_onnx.py",
        ),
        Contract(
            "TRT_MXFP8DynamicQuantize",
            (("x", FLOATS, False),),
            (
                Output("y", Typing(fixed="float8e4m3fn", allowed=("float8e4m3fn",))),
                Output("y_scale", Typing(fixed="uint8", allowed=("uint8",)), blocked=True),
            ),
            {"axis": -1, "block_size": 32, "output_dtype": 17},
            False,
            "modelopt export_onnx.py; the scales are E8M0 exponents stored as UINT8",
        ),
        Contract(
            "TRT_MXFP8DequantizeLinear",
            (("x", ("float8e4m3fn", *FLOATS), False), ("x_scale", ("uint8", *FLOATS), False)),
            (Output("y", Typing(attribute="output_dtype", like=-1, allowed=FLOATS)),),
            {"axis": -1, "block_size": 32, "output_dtype": None},
            False,
            "modelopt export_onnx.py; raw exports feed the unquantized weight and a float scale",
        ),
        Contract(
            "TRT_FP4QDQ",
            (("x", FLOATS, False),),
            (Output("y", Typing(like=0, allowed=FLOATS)),),
            {"block_size": 16},
            False,
            "modelopt export_onnx.py; a placeholder that ModelOpt's NVFP4 exporter replaces by two DequantizeLinear",
        ),
        Contract(
            "DequantizeLinear",
            (("x", QUANTIZED, False), ("x_scale", (*FLOATS, "float8e4m3fn"), False), ("x_zero_point", QUANTIZED, True)),
            (Output("y", _SCALE_FIRST),),
            {"axis": None, "block_size": None, "output_dtype": None},
            False,
            "modelopt int4_exporter.py, fp8_exporter.py: a leftover domain; the meaning is the default-domain operator's",
        ),
        Contract(
            "QuantizeLinear",
            (("x", (*FLOATS, "int32"), False), ("y_scale", FLOATS, False), ("y_zero_point", QUANTIZED, True)),
            (Output("y", Typing(attribute="output_dtype", like=2, fixed="uint8", allowed=QUANTIZED)),),
            {"axis": None, "block_size": None, "output_dtype": None, "precision": None, "saturate": None},
            False,
            "modelopt fp8_exporter.py: a leftover domain; the meaning is the default-domain operator's",
        ),
    )
}


def element_type(contract: Contract, port: int, inputs: Sequence[str | None], attribute: Callable[[str], int | None]) -> str:
    """The element type of an output port.

    Args:
        contract: The operator's row.
        port: Which output.
        inputs: The element type of each input, as an ONNX type name, None where unknown.
        attribute: The integer attribute of that name, None where absent.

    Returns:
        An ONNX type name; empty where the inputs do not determine it.
    """
    typing = contract.outputs[port].typing
    if typing.attribute and (number := attribute(typing.attribute)):
        return TYPE_NAMES.get(number, "")
    if typing.like >= 0:
        if len(inputs) > typing.like:
            return inputs[typing.like] or ""
        return typing.fixed
    return typing.fixed


def output_shape(contract: Contract, port: int, shape: Shape, attribute: Callable[[str], int | None]) -> Shape:
    """The shape of an output port from the shape of input 0: the same, or with ``axis`` divided by ``block_size``, rounded up."""
    if shape is None or not contract.outputs[port].blocked:
        return shape
    axis = attribute("axis")
    axis = contract.attributes["axis"] if axis is None else axis
    block = attribute("block_size") or contract.attributes["block_size"]
    if axis is None or not block or not -len(shape) <= axis < len(shape):
        return None
    dims = list(shape)
    dim = dims[axis]
    dims[axis] = -(-dim // block) if isinstance(dim, int) else None
    return dims
