"""Files that somebody made to do harm, or that a broken disk or exporter made by accident. Each has a story and the expected answer.

A builder gets an empty folder, writes ``m.onnx`` (and what belongs to it) there, and returns nothing. Nothing here needs graphfix.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper

Build = Callable[[Path], None]

# What graphfix must answer: OPEN is a file that looks odd and is fine; anything else is in the error, with exit code 1.
OPEN = ""


@dataclass(frozen=True)
class Hostile:
    """A file: its name, what it tries, what the answer must contain, and what is asked of ``apply``: 0 where it goes through."""

    name: str
    story: str
    build: Build
    says: str


TABLE: list[Hostile] = []


def hostile(says: str = OPEN) -> Callable[[Build], Build]:
    """Put a builder into the table, named after its function; its docstring is the story."""

    def add(build: Build) -> Build:
        TABLE.append(Hostile(build.__name__.strip("_").replace("_", "-"), (build.__doc__ or "").strip(), build, says))
        return build

    return add


def text(folder: Path, source: str) -> ModelProto:
    """Write a model from ONNX text."""
    return write(folder, onnx.parser.parse_model(source))


def write(folder: Path, model: ModelProto, name: str = "m.onnx") -> ModelProto:
    (folder / name).write_bytes(model.SerializeToString())
    return model


def plain(nodes: Iterable[NodeProto] = (), initializers: Iterable[TensorProto] = (), opset: int = 20) -> ModelProto:
    """x -> Relu -> y at opset 20, and what is given beside it."""
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"]), *nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def outside(folder: Path, location: str | bytes, *, dims: Iterable[int] = (16,), **entries: str) -> TensorProto:
    """An external float tensor; a data file of 64 bytes lies in the folder as ``w.bin``."""
    (folder / "w.bin").write_bytes(bytes(64))
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=list(dims), data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        entry = tensor.external_data.add(key=key)
        if isinstance(value, bytes):
            entry.MergeFromString(b"\x12" + bytes([len(value)]) + value)
        else:
            entry.value = value
    return tensor


def using(tensor: TensorProto) -> ModelProto:
    return plain([helper.make_node("Add", ["x", tensor.name], ["z"])], [tensor])


def varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


# --- not a model -----------------------------------------------------------------------------------------------------


@hostile("is not an ONNX model")
def empty(folder: Path) -> None:
    """Nothing at all: a download that never began."""
    (folder / "m.onnx").write_bytes(b"")


@hostile("is not an ONNX model")
def noise(folder: Path) -> None:
    """Random bytes."""
    (folder / "m.onnx").write_bytes(np.random.default_rng(0).bytes(10_000))


@hostile("cut off")
def cut_in_half(folder: Path) -> None:
    """A download that broke."""
    blob = plain().SerializeToString()
    (folder / "m.onnx").write_bytes(blob[: len(blob) // 2])


@hostile("is not a regular file")
def pipe(folder: Path) -> None:
    """A named pipe that nobody writes to: reading it never ends."""
    os.mkfifo(folder / "m.onnx")


@hostile("is not a regular file")
def endless_device(folder: Path) -> None:
    """A link to /dev/zero: reading it takes all memory."""
    (folder / "m.onnx").symlink_to("/dev/zero")


# --- external data ---------------------------------------------------------------------------------------------------


@hostile("outside the model's folder")
def data_above(folder: Path) -> None:
    """Weights that are to be read from the folder above."""
    (folder.parent / "secret").write_bytes(bytes(64))
    write(folder, using(outside(folder, "../secret")))


@hostile("outside the model's folder")
def data_absolute(folder: Path) -> None:
    """Weights that are to be read from the password file."""
    write(folder, using(outside(folder, "/etc/passwd", dims=[4])))


@hostile("outside the model's folder")
def data_absolute_in_windows(folder: Path) -> None:
    """The same on Windows, seen on any system."""
    write(folder, using(outside(folder, "C:\\Windows\\win.ini", dims=[4])))


@hostile("outside the model's folder")
def data_unc(folder: Path) -> None:
    """A share of somebody's server: opening it sends the user's credentials there."""
    write(folder, using(outside(folder, "\\\\evil\\share\\w.bin", dims=[4])))


@hostile("outside the model's folder")
def data_absolute_in_attribute(folder: Path) -> None:
    """The same, in the tensor of a Constant."""
    tensor = outside(folder, "/etc/passwd", dims=[4])
    write(folder, plain([helper.make_node("Constant", [], ["c"], value=tensor)]))


@hostile("in another file")
def data_absolute_in_tensors_attribute(folder: Path) -> None:
    """The same, in a list of tensors, an attribute kind that no standard operator has."""
    node = NodeProto(op_type="Custom", domain="x", output=["c"])
    node.attribute.append(AttributeProto(name="many", type=AttributeProto.TENSORS, tensors=[outside(folder, "/etc/passwd", dims=[4])]))
    write(folder, plain([node]))


@hostile("outside the model's folder")
def data_absolute_in_subgraph(folder: Path) -> None:
    """The same, in an initializer of a branch."""
    branch = helper.make_graph([helper.make_node("Identity", ["w"], ["b"])], "b", [], [onnx.ValueInfoProto(name="b")])
    branch.initializer.append(outside(folder, "/etc/passwd", dims=[4]))
    flag = helper.make_tensor("flag", TensorProto.BOOL, [], [True])
    write(folder, plain([helper.make_node("If", ["flag"], ["z"], then_branch=branch, else_branch=branch)], [flag]))


@hostile("outside the model's folder")
def data_absolute_in_function(folder: Path) -> None:
    """The same, in a Constant of a local function."""
    model = plain([helper.make_node("F", [], ["z"], domain="f")])
    constant = helper.make_node("Constant", [], ["c"], value=outside(folder, "/etc/passwd", dims=[4]))
    model.functions.append(helper.make_function("f", "F", [], ["c"], [constant], [helper.make_opsetid("", 20)]))
    model.opset_import.append(helper.make_opsetid("f", 1))
    write(folder, model)


@hostile("in another file")
def data_absolute_in_sparse(folder: Path) -> None:
    """The same, in the values of a sparse initializer."""
    model = plain()
    sparse = model.graph.sparse_initializer.add(dims=[100])
    sparse.values.CopyFrom(outside(folder, "/etc/passwd", dims=[4]))
    sparse.indices.CopyFrom(helper.make_tensor("i", TensorProto.INT64, [4], [0, 1, 2, 3]))
    write(folder, model)


@hostile("in another file")
def data_absolute_in_training(folder: Path) -> None:
    """The same, in the graph that initializes training."""
    model = plain()
    model.training_info.add().initialization.initializer.append(outside(folder, "/etc/passwd", dims=[4]))
    write(folder, model)


@hostile("in another file")
def data_absolute_without_a_name(folder: Path) -> None:
    """The same, in an initializer that has no name and that readers skip."""
    tensor = outside(folder, "/etc/passwd", dims=[4])
    tensor.name = ""
    write(folder, plain([], [tensor]))


@hostile("link that leads out")
def data_link_out(folder: Path) -> None:
    """A symlink in the folder to the password file."""
    model = using(outside(folder, "l.bin", dims=[4]))
    (folder / "l.bin").symlink_to("/etc/passwd")
    write(folder, model)


@hostile("missing")
def data_link_loop(folder: Path) -> None:
    """A symlink to itself."""
    (folder / "l.bin").symlink_to("l.bin")
    write(folder, using(outside(folder, "l.bin")))


@hostile("not a regular file")
def data_pipe(folder: Path) -> None:
    """A named pipe as data file."""
    os.mkfifo(folder / "p.bin")
    write(folder, using(outside(folder, "p.bin")))


@hostile("not a regular file")
def data_folder(folder: Path) -> None:
    """The folder itself as data file."""
    write(folder, using(outside(folder, ".")))


@hostile("external data is missing")
def data_nul_in_name(folder: Path) -> None:
    """A NUL in the location, which system calls refuse with another exception."""
    write(folder, using(outside(folder, "w\0.bin")))


@hostile("external data is missing")
def data_long_name(folder: Path) -> None:
    """A location longer than any file system takes."""
    write(folder, using(outside(folder, "w" * 100_000)))


@hostile("UTF-8")
def data_name_not_utf8(folder: Path) -> None:
    """A location that is not text."""
    write(folder, using(outside(folder, b"w\xff.bin")))


@hostile("has backslashes")
def data_backslashes(folder: Path) -> None:
    """Written on Windows by a careless exporter: the file is there, under another spelling."""
    (folder / "sub").mkdir()
    (folder / "sub" / "w.bin").write_bytes(bytes(64))
    write(folder, using(outside(folder, "sub\\w.bin")))


@hostile("offset")
def data_offset_no_number(folder: Path) -> None:
    """An offset that is no number."""
    write(folder, using(outside(folder, "w.bin", offset="first")))


@hostile("offset")
def data_offset_of_5000_digits(folder: Path) -> None:
    """A number with more digits than Python converts."""
    write(folder, using(outside(folder, "w.bin", offset="9" * 5000)))


@hostile("not a number")
def data_offset_negative(folder: Path) -> None:
    """Bytes before the file."""
    write(folder, using(outside(folder, "w.bin", offset="-64", length="64")))


@hostile("too short")
def data_offset_overflows(folder: Path) -> None:
    """Offset plus length is a small number in 64 bits."""
    write(folder, using(outside(folder, "w.bin", offset=str(2**64 - 64), length="64")))


@hostile("needs 64 bytes and the model says it has 0")
def data_length_zero(folder: Path) -> None:
    """A length of nothing for sixteen floats, beyond the end of the file."""
    write(folder, using(outside(folder, "w.bin", offset="1000000", length="0")))


@hostile("too short")
def data_length_beyond(folder: Path) -> None:
    """A length beyond the file."""
    write(folder, using(outside(folder, "w.bin", length=str(2**63 - 1))))


@hostile()
def data_overlaps(folder: Path) -> None:
    """Two tensors that share half their bytes; `lint` tells (GF026), loading is not harmed."""
    a, b = outside(folder, "w.bin", dims=[8], length="32"), outside(folder, "w.bin", dims=[8], offset="16", length="32")
    b.name = "b"
    write(folder, plain([helper.make_node("Add", ["w", "b"], ["z"])], [a, b]))


@hostile("too short")
def data_of_a_petabyte(folder: Path) -> None:
    """A declared shape of 10**15 elements behind a file of 64 bytes."""
    write(folder, using(outside(folder, "w.bin", dims=[10**6, 10**9])))


@hostile("negative")
def data_negative_dimension(folder: Path) -> None:
    """A dimension of -1 in an external tensor: a negative number of bytes passes every size check."""
    write(folder, using(outside(folder, "w.bin", dims=[-1])))


@hostile()
def data_under_300_names(folder: Path) -> None:
    """As many names for one file as there are tensors."""
    tensor = outside(folder, "w.bin")
    many = []
    for i in range(300):
        made = TensorProto()
        made.CopyFrom(tensor)
        made.name, made.external_data[0].value = f"w{i}", "./" * (i + 1) + "w.bin"
        many.append(made)
    write(folder, plain([], many))


# --- tensors in the header -------------------------------------------------------------------------------------------


@hostile("holds 0 bytes")
def inline_of_a_petabyte(folder: Path) -> None:
    """A shape of 10**15 elements and no data."""
    write(folder, using(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[10**6, 10**9])))


@hostile("holds 0 bytes")
def inline_overflow(folder: Path) -> None:
    """A number of elements that is 0 in 64 bits."""
    write(folder, using(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**32, 2**32])))


@hostile("holds 4 bytes")
def inline_short(folder: Path) -> None:
    """One float for sixteen."""
    write(folder, using(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[16], raw_data=bytes(4))))


@hostile("negative")
def inline_negative(folder: Path) -> None:
    """A dimension of -1."""
    write(folder, using(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-1], raw_data=bytes(4))))


@hostile("element type")
def inline_unknown_type(folder: Path) -> None:
    """An element type that ONNX does not have."""
    write(folder, using(TensorProto(name="w", data_type=99, dims=[1], raw_data=bytes(4))))


@hostile("element type")
def inline_no_type(folder: Path) -> None:
    """No element type."""
    write(folder, using(TensorProto(name="w", dims=[1], raw_data=bytes(4))))


@hostile("dimensions")
def rank_of_a_million(folder: Path) -> None:
    """A tensor of a million dimensions of 1, which takes four bytes."""
    write(folder, using(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1] * 1_000_000, raw_data=bytes(4))))


@hostile()
def huge_input(folder: Path) -> None:
    """A graph input declared with 2**62 elements on each of eight axes; nothing is allocated for a declaration."""
    model = plain()
    model.graph.input.append(helper.make_tensor_value_info("big", TensorProto.FLOAT, [2**62] * 8))
    write(folder, model)


@hostile()
def huge_constant_of_shape(folder: Path) -> None:
    """One small node that makes 10**15 elements when it runs."""
    shape = helper.make_tensor("s", TensorProto.INT64, [2], [10**6, 10**9])
    write(folder, plain([helper.make_node("ConstantOfShape", ["s"], ["z"]), helper.make_node("Relu", ["z"], ["q"])], [shape]))


@hostile("grows")
def concat_bomb(folder: Path) -> None:
    """Forty nodes, each of which joins a shape with itself: shape inference that computes values makes 2**40 numbers."""
    nodes = [helper.make_node("Shape", ["x"], ["s0"])]
    nodes += [helper.make_node("Concat", [f"s{i}", f"s{i}"], [f"s{i + 1}"], axis=0) for i in range(40)]
    write(folder, plain(nodes))


@hostile()
def rank_bomb(folder: Path) -> None:
    """A shape of 100,000 numbers, expanded to and passed on 20 times: inference writes two million dimensions."""
    shape = helper.make_tensor("s", TensorProto.INT64, [100_000], [1] * 100_000)
    nodes = [helper.make_node("Expand", ["x", "s"], ["e0"])]
    nodes += [helper.make_node("Identity", [f"e{i}"], [f"e{i + 1}"]) for i in range(20)]
    write(folder, plain(nodes, [shape]))


# --- structure -------------------------------------------------------------------------------------------------------


def nested(depth: int) -> bytes:
    """A model with ``depth`` graphs inside each other, as bytes: building it as messages would recurse."""
    graph = field(1, field(4, b"Custom") + field(7, b"x"))
    for _ in range(depth):
        attribute = field(1, b"body") + field(6, graph) + varint(20 << 3) + varint(AttributeProto.GRAPH)
        graph = field(1, field(2, b"z") + field(4, b"Custom") + field(7, b"x") + field(5, attribute))
    return b"\x08\x0a" + field(8, b"\x10\x14") + field(7, graph)


@hostile("nested")
def nested_5000(folder: Path) -> None:
    """Graphs within graphs, five thousand deep."""
    (folder / "m.onnx").write_bytes(nested(5000))


@hostile()
def nested_30(folder: Path) -> None:
    """Thirty deep, which protobuf still reads."""
    (folder / "m.onnx").write_bytes(nested(30))


@hostile("nested")
def type_nested_5000(folder: Path) -> None:
    """A sequence of sequences of sequences, five thousand deep."""
    kind = field(1, b"\x08\x01")
    for _ in range(5000):
        kind = field(4, field(1, kind))
    graph = field(2, b"g") + field(11, field(1, b"x") + field(2, kind))
    (folder / "m.onnx").write_bytes(b"\x08\x0a" + field(7, graph))


@hostile("used before anything defines it")
def cycle(folder: Path) -> None:
    """Two Transposes that feed each other."""
    nodes = [helper.make_node("Transpose", ["b"], ["a"]), helper.make_node("Transpose", ["a"], ["b"])]
    half = helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16)
    write(folder, plain([*nodes, half, helper.make_node("Add", ["a", "h"], ["c"]), helper.make_node("Add", ["h", "b"], ["d"])]))


@hostile("used before anything defines it")
def self_loop(folder: Path) -> None:
    """A node that reads what it makes."""
    half = helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16)
    write(folder, plain([helper.make_node("Identity", ["a"], ["a"]), half, helper.make_node("Add", ["h", "a"], ["c"])]))


@hostile("redeclared")
def duplicate_outputs(folder: Path) -> None:
    """Two nodes that make one value."""
    write(folder, plain([helper.make_node("Relu", ["x"], ["y"])]))


@hostile("twice")
def duplicate_inputs(folder: Path) -> None:
    """Two inputs of one name."""
    model = plain()
    model.graph.input.append(model.graph.input[0])
    write(folder, model)


@hostile("twice")
def duplicate_initializers(folder: Path) -> None:
    """Two initializers of one name, of which readers take different ones."""
    write(folder, plain([], [helper.make_tensor("w", TensorProto.FLOAT, [1], [v]) for v in (1.0, 2.0)]))


@hostile("twice")
def duplicate_attributes(folder: Path) -> None:
    """Two attributes of one name and different kinds."""
    node = helper.make_node("Custom", ["x"], ["z"], domain="x", body=plain().graph)
    node.attribute.append(helper.make_attribute("body", 1))
    write(folder, plain([node]))


@hostile("twice")
def duplicate_functions(folder: Path) -> None:
    """Two local functions of one name."""
    model = plain([helper.make_node("F", ["x"], ["z"], domain="f")])
    for op in ("Relu", "Sin"):
        model.functions.append(helper.make_function("f", "F", ["a"], ["b"], [helper.make_node(op, ["a"], ["b"])], model.opset_import))
    model.opset_import.append(helper.make_opsetid("f", 1))
    write(folder, model)


@hostile("calls itself")
def recursive_function(folder: Path) -> None:
    """A local function that calls itself through another one."""
    model = plain([helper.make_node("F", ["x"], ["z"], domain="f")])
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("f", 1)]
    for name, other in (("F", "G"), ("G", "F")):
        model.functions.append(helper.make_function("f", name, ["a"], ["b"], [helper.make_node(other, ["a"], ["b"], domain="f")], imports))
    model.opset_import.append(imports[1])
    write(folder, model)


@hostile("nodes once its functions are written out")
def function_bomb(folder: Path) -> None:
    """Forty local functions, each of which calls the next one twice: 2**40 nodes to whoever writes them out."""
    model = plain([helper.make_node("F0", ["x"], ["z"], domain="f")])
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("f", 1)]
    for i in range(40):
        body = [helper.make_node(f"F{i + 1}", [a], [b], domain="f") for a, b in (("a", "t"), ("t", "b"))]
        body = body if i < 39 else [helper.make_node("Relu", ["a"], ["b"])]
        model.functions.append(helper.make_function("f", f"F{i}", ["a"], ["b"], body, imports))
    model.opset_import.append(imports[1])
    write(folder, model)


@hostile("functions that call each other")
def function_chain(folder: Path) -> None:
    """Five thousand local functions, each of which calls the next one: deeper than any stack."""
    model = plain([helper.make_node("F0", ["x"], ["z"], domain="f")])
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("f", 1)]
    for i in range(5000):
        node = helper.make_node(f"F{i + 1}", ["a"], ["b"], domain="f") if i < 4999 else helper.make_node("Relu", ["a"], ["b"])
        model.functions.append(helper.make_function("f", f"F{i}", ["a"], ["b"], [node], imports))
    model.opset_import.append(imports[1])
    write(folder, model)


@hostile()
def inputs_100_000(folder: Path) -> None:
    """A hundred thousand inputs."""
    model = plain()
    model.graph.input.extend(helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, [2]) for i in range(100_000))
    write(folder, model)


@hostile()
def operands_100_000(folder: Path) -> None:
    """One node with a hundred thousand operands."""
    write(folder, plain([helper.make_node("Sum", ["x"] * 100_000, ["z"])]))


@hostile()
def initializers_as_inputs_5000(folder: Path) -> None:
    """Five thousand weights, all listed as inputs."""
    model = plain()
    for i in range(5000):
        model.graph.initializer.append(helper.make_tensor(f"w{i}", TensorProto.FLOAT, [1], [1.0]))
        model.graph.input.append(helper.make_tensor_value_info(f"w{i}", TensorProto.FLOAT, [1]))
    write(folder, model)


@hostile("local functions")
def functions_20_000(folder: Path) -> None:
    """Twenty thousand local functions."""
    model = plain()
    model.opset_import.append(helper.make_opsetid("f", 1))
    for i in range(20_000):
        model.functions.append(helper.make_function("f", f"F{i}", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], []))
        model.functions[-1].opset_import.add(domain="", version=20)
    write(folder, model)


@hostile()
def branches_3000(folder: Path) -> None:
    """Three thousand Ifs in a row: names above each must not be copied for each."""
    flag = helper.make_tensor("flag", TensorProto.BOOL, [], [True])
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["b"])], "b", [], [onnx.ValueInfoProto(name="b")])
    nodes = [helper.make_node("If", ["flag"], [f"z{i}"], then_branch=branch, else_branch=branch) for i in range(3000)]
    write(folder, plain(nodes, [flag]))


@hostile()
def chain_of_5000(folder: Path) -> None:
    """Five thousand Identities, Casts and Transposes in a row behind an input: whoever follows them by recursion falls."""
    ops = ("Identity", "Cast", "Transpose")
    nodes = [helper.make_node(ops[i % 3], [f"c{i}"], [f"c{i + 1}"], **({"to": 1} if i % 3 == 1 else {})) for i in range(5000)]
    nodes[0].input[0] = "x"
    write(folder, plain(nodes))


@hostile()
def conflicts_behind_a_long_chain(folder: Path) -> None:
    """Two thousand Transposes behind a DequantizeLinear and two thousand conflicts at their end: each walked back alone is quadratic."""
    values = [helper.make_tensor("q", TensorProto.INT8, [2], [1, 2]), helper.make_tensor("s", TensorProto.FLOAT16, [], [1.0])]
    nodes = [helper.make_node("DequantizeLinear", ["q", "s"], ["t0"])]
    nodes += [helper.make_node("Transpose", [f"t{i}"], [f"t{i + 1}"]) for i in range(2000)]
    nodes += [helper.make_node("Add", ["x", "t2000"], [f"a{i}"]) for i in range(2000)]
    write(folder, plain(nodes, values))


@hostile("the header is too crowded")
def nodes_without_end(folder: Path) -> None:
    """Twenty megabytes of the smallest nodes there are: three million."""
    node = field(1, field(2, b"") + field(4, b"A"))
    (folder / "m.onnx").write_bytes(b"\x08\x0a" + field(8, b"\x10\x14") + field(7, node * 3_000_000))


@hostile("the header is too crowded")
def messages_without_end(folder: Path) -> None:
    """Eight megabytes of empty messages: four million."""
    (folder / "m.onnx").write_bytes(b"\x08\x0a" + field(8, b"\x10\x14") + field(7, field(5, b"") * 4_000_000))


# --- operators -------------------------------------------------------------------------------------------------------


@hostile("needs at least 1 input")
def node_without_inputs(folder: Path) -> None:
    """A Cast of nothing."""
    write(folder, plain([helper.make_node("Cast", [], ["z"], to=1)]))


@hostile("input 1 of MatMul is left out")
def node_with_left_out_inputs(folder: Path) -> None:
    """A MatMul by nothing."""
    write(folder, plain([helper.make_node("MatMul", ["x", ""], ["z"])]))


@hostile("needs at least 1 output")
def node_without_outputs(folder: Path) -> None:
    """A DequantizeLinear that makes nothing."""
    write(folder, plain([helper.make_node("DequantizeLinear", ["x", "x"], [])]))


@hostile("attribute axis of DequantizeLinear")
def attribute_of_the_wrong_kind(folder: Path) -> None:
    """An axis that is a word."""
    write(folder, plain([helper.make_node("DequantizeLinear", ["x", "x"], ["z"], axis="last")]))


@hostile("attribute to of Cast")
def cast_to_nowhere(folder: Path) -> None:
    """A Cast to an element type that ONNX does not have."""
    write(folder, plain([helper.make_node("Cast", ["x"], ["z"], to=999)]))


@hostile("_branch of If is INT, not GRAPH")
def if_without_branches(folder: Path) -> None:
    """Branches that are numbers."""
    write(folder, plain([helper.make_node("If", ["x"], ["z"], then_branch=1, else_branch=2)]))


@hostile()
def axis_beyond(folder: Path) -> None:
    """Axes and block sizes of 2**62 and below."""
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "x"], ["z"], axis=2**62, block_size=-(2**62)),
        helper.make_node("Softmax", ["x"], ["q"], axis=-(2**63)),
        helper.make_node("Gather", ["x", "x"], ["r"], axis=2**63 - 1),
    ]
    write(folder, plain(nodes, opset=21))


@hostile("opset")
def opset_of_the_far_future(folder: Path) -> None:
    """An opset of 2**62."""
    write(folder, plain(opset=2**62))


@hostile("opset")
def opset_negative(folder: Path) -> None:
    """An opset of -3."""
    write(folder, plain(opset=-3))


# --- words -----------------------------------------------------------------------------------------------------------


NOT_TEXT: dict[str, tuple[str, str, str]] = {
    "value-name": ("NAME1", "A value's name that is not text.", "UTF-8"),
    "node-name": ("NAME2", "A node's name that is not text.", "UTF-8"),
    "domain": ("NAME3", "A domain that is not text.", "UTF-8"),
    "attribute": ("NAME4", "A string attribute that is not text, which ONNX allows in practice.", OPEN),
    "producer": ("NAME5", "A producer that is not text.", "UTF-8"),
    "metadata": ("NAME7", "Metadata that are not text.", "UTF-8"),
}


def not_utf8(folder: Path, place: str) -> None:
    model = plain([helper.make_node("Custom", ["x"], ["NAME1"], name="NAME2", domain="NAME3", word="NAME4")])
    model.producer_name, model.doc_string = "NAME5", "NAME6"
    model.metadata_props.add(key="k", value="NAME7")
    (folder / "m.onnx").write_bytes(model.SerializeToString().replace(place.encode(), b"NA\xff\xfe" + place[-1:].encode()))


TABLE.extend(Hostile(f"{what}-not-utf8", story, partial(not_utf8, place=place), says) for what, (place, story, says) in NOT_TEXT.items())


@hostile()
def escape_codes(folder: Path) -> None:
    """Names that clear the terminal, set its title, and begin a workflow command: they must reach a screen as plain text."""
    evil = "\x1b[2J\x1b]0;owned\x07\r\n::error::x\u202egnp.exe"
    model = plain([helper.make_node("Cus\x1btom", ["x"], [evil], name=evil, domain="x\x1b[31m")])
    model.producer_name = evil
    model.graph.input.append(helper.make_tensor_value_info(evil + "i", TensorProto.FLOAT, [evil]))
    write(folder, model)


def with_provenance(folder: Path, value: str) -> None:
    model = plain()
    model.metadata_props.add(key="graphfix.provenance", value=value)
    write(folder, model)


@hostile()
def provenance_of_other_things(folder: Path) -> None:
    """Provenance that is JSON of another shape."""
    with_provenance(folder, '[1, null, {"passes": 5}, {"passes": [1, {}]}, []]')


@hostile()
def provenance_deep(folder: Path) -> None:
    """Provenance that is JSON, 100,000 deep."""
    with_provenance(folder, "[" * 100_000 + "]" * 100_000)


@hostile()
def provenance_long_number(folder: Path) -> None:
    """Provenance with a number that Python does not convert."""
    with_provenance(folder, "[" + "9" * 10_000 + "]")
