"""Where cases come from: onnx's node cases, and a few by hand for operators that have none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx.defs
from onnx import helper, numpy_helper

from conformance import node_cases
from conformance.handmade import HANDMADE
from conformance.running import ENGINES, attempt

# Inputs that used to be attributes under another name.
FORMER = {"constant_value": "value", "K": "k"}
SMALL = 8


@dataclass(frozen=True)
class Seed:
    """A model around one node (the first) with its inputs."""

    name: str
    op_type: str
    model: onnx.ModelProto
    feeds: dict[str, Any]

    def key(self) -> bytes:
        """What makes it different from others."""
        return self.model.SerializeToString() + repr(sorted((k, getattr(v, "shape", ())) for k, v in self.feeds.items())).encode()


@cache
def collect() -> tuple[Seed, ...]:
    """All seeds."""
    found = []
    for case in node_cases.cases():
        nodes = case.model.graph.node
        if len(nodes) != 1 or nodes[0].domain or not case.data or any(v is None for v in case.data[0][0]):
            continue
        feeds = {k: np.asarray(v) if isinstance(v, np.generic) else v for k, v in case.feeds(case.data[0][0]).items()}
        found.append(Seed(case.name, nodes[0].op_type, case.model, feeds))
    for op, text, feeds in HANDMADE:
        found.append(Seed(f"{op}_by_hand", op, onnx.parser.parse_model(text), feeds))
    return tuple(found)


def variants(seed: Seed, version: int) -> Iterator[Seed]:
    """The seed as its operator was at a version, then with attributes dropped and varied, and small inputs as initializers."""
    schema = onnx.defs.get_schema(seed.op_type, version)
    base = _set_back(seed, schema)
    for variant in _varied(base, seed, schema):
        node = variant.model.graph.node[0]
        if (version >= 11 or not _counts_from_the_back(node)) and not _window_too_large(node, variant.feeds):
            yield variant


def _counts_from_the_back(node: onnx.NodeProto) -> bool:
    """Whether an axis is negative, which operators allow from opset 11 on and which the checker does not see before."""
    return any(a.name in {"axis", "axes"} and min(a.i, *a.ints, 0) < 0 for a in node.attribute)


def _window_too_large(node: onnx.NodeProto, feeds: dict[str, Any]) -> bool:
    """Whether a pool's window does not fit its padded input even once: onnx's inference then says 1 where the formula says 0."""
    given = {a.name: list(a.ints) or a.i for a in node.attribute}
    if "kernel_shape" not in given or given.get("ceil_mode") or node.input[0] not in feeds:
        return False
    sides = np.shape(feeds[node.input[0]])[2:]
    pads = given.get("pads") or [0] * 2 * len(sides)
    padded = [side + pads[i] + pads[i + len(sides)] for i, side in enumerate(sides)]
    return len(given["kernel_shape"]) == len(sides) and any(k > p for k, p in zip(given["kernel_shape"], padded, strict=True))


def _varied(base: Seed, seed: Seed, schema: onnx.defs.OpSchema) -> Iterator[Seed]:
    op = seed.op_type
    yield base
    yield _with_initializers(base)
    node = base.model.graph.node[0]
    for attribute in node.attribute:
        declared = schema.attributes.get(attribute.name)
        if declared is not None and not declared.required:
            yield _with_attribute(base, attribute.name, None)
        for value in _others(seed, attribute, op):
            yield _with_attribute(base, attribute.name, value)
    if "axis" in schema.attributes and not any(a.name == "axis" for a in node.attribute):
        for value in _axes(base):
            yield _with_attribute(base, "axis", value)
    for n in range(1, len(node.output)):
        if any(node.output[:n]):
            yield _with_outputs(base, n)


def _axes(seed: Seed) -> range:
    rank = max((np.ndim(v) for v in list(seed.feeds.values())[:1]), default=0)
    return range(-rank, rank)


@cache
def _strings(op: str, attribute: str) -> tuple[bytes, ...]:
    held = {
        a.s
        for s in collect()
        if s.op_type == op
        for a in s.model.graph.node[0].attribute
        if a.name == attribute and a.type == onnx.AttributeProto.STRING
    }
    extra = {("GridSample", "mode"): {b"bilinear", b"bicubic", b"nearest"}, ("Resize", "mode"): {b"nearest", b"linear", b"cubic"}}
    return tuple(sorted(held | extra.get((op, attribute), set())))


def _others(seed: Seed, attribute: onnx.AttributeProto, op: str) -> Iterator[Any]:
    if attribute.type == onnx.AttributeProto.STRING:
        yield from (s for s in _strings(op, attribute.name) if s != attribute.s)
    elif attribute.name == "axis":
        yield from (i for i in _axes(seed) if i != attribute.i)
    elif attribute.type == onnx.AttributeProto.INT and attribute.i in {0, 1}:
        yield 1 - attribute.i
    elif attribute.type == onnx.AttributeProto.FLOAT:
        yield from (0.0, 0.5)
    elif attribute.name == "axes":
        rank = max((np.ndim(v) for v in list(seed.feeds.values())[:1]), default=0)
        yield from ([i] for i in range(-rank, rank))


def _copy(seed: Seed) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(seed.model)
    return model


def _with_attribute(seed: Seed, name: str, value: Any) -> Seed:
    model = _copy(seed)
    node = model.graph.node[0]
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
    if value is not None:
        node.attribute.append(helper.make_attribute(name, value))
    return replace(seed, model=model)


def _with_initializers(seed: Seed) -> Seed:
    model, feeds = _copy(seed), {}
    for name, value in seed.feeds.items():
        array = np.asarray(value) if not isinstance(value, list | tuple | dict) else None
        if array is None or array.size > SMALL or array.dtype.kind not in "iuf" or name in model.graph.node[0].input[:1]:
            feeds[name] = value
            continue
        model.graph.initializer.append(numpy_helper.from_array(array, name))
        kept = [v for v in model.graph.input if v.name != name]
        del model.graph.input[:]
        model.graph.input.extend(kept)
    return replace(seed, model=model, feeds=feeds)


def _with_outputs(seed: Seed, count: int) -> Seed:
    model = _copy(seed)
    del model.graph.node[0].output[count:]
    made = {n for node in model.graph.node for n in node.output}
    kept = [v for v in model.graph.output if v.name in made]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    return replace(seed, model=model)


def _set_back(seed: Seed, schema: onnx.defs.OpSchema) -> Seed:
    """The seed in an older version's terms: unknown attributes dropped, inputs that were attributes turned into those."""
    model, feeds = _copy(seed), dict(seed.feeds)
    node = model.graph.node[0]
    if len(model.graph.node) == 1:
        newest = onnx.defs.get_schema(node.op_type)
        _rename(node, schema, feeds)
        formal = len(schema.inputs)
        variadic = bool(schema.inputs) and schema.inputs[-1].option == onnx.defs.OpSchema.FormalParameterOption.Variadic
        if not variadic:
            for i in range(formal, len(node.input)):
                former = FORMER.get(newest.inputs[i].name, newest.inputs[i].name)
                if node.input[i] and former in schema.attributes and node.input[i] in feeds:
                    value = np.asarray(feeds.pop(node.input[i]))
                    scalar = schema.attributes[former].type.name in {"INT", "FLOAT"}
                    plain = value.reshape(-1).tolist()
                    if not plain:
                        continue
                    node.attribute.append(helper.make_attribute(former, plain[0] if scalar else plain))
            del node.input[formal:]
        for attribute in tuple(node.attribute):
            if attribute.name not in schema.attributes:
                node.attribute.remove(attribute)
        del node.output[len(schema.outputs) if not _variadic_output(schema) else len(node.output) :]
    used = {n for inner in model.graph.node for n in inner.input if n} | _captured(model.graph)
    made = {n for inner in model.graph.node for n in inner.output if n}
    for kept, entries in ((used, model.graph.input), (made, model.graph.output)):
        values = [v for v in entries if v.name in kept]
        del entries[:]
        entries.extend(values)
    return replace(seed, model=model, feeds={k: v for k, v in feeds.items() if k in used})


def _captured(graph: onnx.GraphProto) -> set[str]:
    inner = [a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return (
        {n for g in inner for node in g.node for n in node.input}
        | {n for g in inner for n in _captured(g)}
        | {v.name for g in inner for v in g.output}
    )


def _variadic_output(schema: onnx.defs.OpSchema) -> bool:
    return bool(schema.outputs) and schema.outputs[-1].option == onnx.defs.OpSchema.FormalParameterOption.Variadic


def _rename(node: onnx.NodeProto, schema: onnx.defs.OpSchema, feeds: dict[str, Any]) -> None:
    """What changed its place or its name rather than its kind."""
    key = (node.op_type, schema.since_version)
    if node.op_type == "GridSample" and schema.since_version < 20:
        for attribute in node.attribute:
            if attribute.name == "mode":
                attribute.s = {b"linear": b"bilinear", b"cubic": b"bicubic"}.get(attribute.s, attribute.s)
    if key == ("GroupNormalization", 18):
        groups = next(a.i for a in node.attribute if a.name == "num_groups")
        for name in node.input[1:]:
            feeds[name] = np.ascontiguousarray(feeds[name][:groups])
    if key == ("Resize", 10) and len(node.input) > 2 and node.input[2]:
        node.input[1] = node.input[2]
        del node.input[2:]
    if key == ("Resize", 11) and len(node.input) > 2:
        node.input[1] = node.input[1] or "roi"
        feeds.setdefault(node.input[1], np.zeros(0, np.float32))
        if not node.input[2]:
            node.input[2] = "scales"
            feeds["scales"] = np.zeros(0, np.float32)


def at_opset(seed: Seed, version: int) -> Seed | None:
    """The seed at an opset, with inputs and outputs described anew; None where onnx cannot type it."""
    model = _copy(seed)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", version))
    model.ir_version = 10
    described = {v.name: v for v in model.graph.input}
    for name, value in seed.feeds.items():
        if isinstance(value, list | tuple | dict) or (name in described and not described[name].type.HasField("tensor_type")):
            continue
        array = np.asarray(value)
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        info = helper.make_tensor_value_info(name, kind, array.shape)
        if name in described:
            described[name].CopyFrom(info)
        else:
            model.graph.input.append(info)
    declared = {}
    for value in model.graph.output:
        declared[value.name] = onnx.TypeProto()
        declared[value.name].CopyFrom(value.type)
        value.ClearField("type")
    del model.graph.value_info[:]
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception:  # noqa: BLE001 - whatever onnx finds wrong makes it no case
        return None
    for value, typed in zip(model.graph.output, inferred.graph.output, strict=True):
        if typed.type.WhichOneof("value"):
            value.type.CopyFrom(typed.type)
        else:
            value.type.CopyFrom(declared[value.name])
            value.type.tensor_type.ClearField("shape")
    _complete(model, seed.feeds)
    return replace(seed, model=model)


def _complete(model: onnx.ModelProto, feeds: dict[str, Any]) -> None:
    """Give each output that inference left without a rank the one that it turns out to have: the checker asks for it."""
    if all(not v.type.HasField("tensor_type") or v.type.tensor_type.HasField("shape") for v in model.graph.output):
        return
    results = next((r for e in ENGINES if not isinstance(r := attempt(e, model, feeds), str)), [])
    for value, result in zip(model.graph.output, results, strict=False):
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            shape = value.type.tensor_type.shape
            shape.SetInParent()
            shape.dim.extend(onnx.TensorShapeProto.Dimension() for _ in np.shape(result))
