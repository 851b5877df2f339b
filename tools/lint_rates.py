"""How many planted faults the lints find, and how many false alarms they raise: a small table.

python tools/lint_rates.py            prints it
python tools/lint_rates.py --write    puts it into docs/lint_rates.md

Each fault is planted by itself into a file that ``trtrtx`` made of a real export. It counts as found when the lint of its code names its
place and the pass that mends it, and, where there is one, when that pass makes the finding go away.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

import graphfix
from graphfix.lints import BUILT_IN

ROOT = Path(__file__).parents[1]
EXPORTS = ROOT / "fixtures" / "exports"
DOC = ROOT / "docs" / "lint_rates.md"
NVFP4, FP8, INT8, FLUX = "sd3_nvfp4mha_20", "sd3_fp8mha_20", "sd3_int8_20", "flux_fp8_20"
QUANTIZE = "TRT_FP4DynamicQuantize"
TEXT = 7  # which of them quantizes the text: its tokens are a named axis
# Exports that the pipeline does not make deployable: operators that the EP lacks, or INT4 that the compiler refuses.
NOT_DEPLOYABLE = {"sd3_mxfp8_20", "sd3_nvfp4_20_raw", "sd3_nvfp4mha_20_raw", "sd3_int4awq_20"}


@dataclass
class Model:
    """A good file to plant a fault in."""

    proto: ModelProto
    path: Path
    where: str = ""

    def node(self, op_type: str, which: int = 0, **having: Any) -> NodeProto:
        """The nth node of an operator: with an attribute, on a weight or not, behind a node of another operator (or a graph input)."""
        weights = {t.name for t in self.proto.graph.initializer}
        found = [n for n in self.proto.graph.node if n.op_type == op_type]
        if "attribute" in having:
            found = [n for n in found if any(a.name == having["attribute"] for a in n.attribute)]
        if "weight" in having:
            found = [n for n in found if (n.input[0] in weights) == having["weight"]]
        if "of" in having:
            made = {v.name: "Input" for v in self.proto.graph.input} | {o: n.op_type for n in self.proto.graph.node for o in n.output}
            found = [n for n in found if any(made.get(i) == having["of"] for i in n.input)]
        node = found[which]
        self.where = node.name
        return node

    def user(self, name: str) -> NodeProto:
        return next(n for n in self.proto.graph.node if name in n.input)

    def info(self, name: str) -> onnx.ValueInfoProto:
        """The declaration of a value, added where there is none."""
        graph = self.proto.graph
        return next((v for v in (*graph.value_info, *graph.output) if v.name == name), None) or graph.value_info.add(name=name)

    def tensor(self, name: str) -> TensorProto:
        return next(t for t in self.proto.graph.initializer if t.name == name)

    def constant(self, name: str) -> NodeProto:
        return next(n for n in self.proto.graph.node if name in n.output)

    def set_scale(self, node: NodeProto, value: float) -> None:
        """Give a node a scale of its own, of the type that it had."""
        old = self.constant(node.input[1]).attribute[0].t
        self.add_constant(node, 1, np.full(tuple(old.dims), value, helper.tensor_dtype_to_np_dtype(old.data_type)))

    def add_constant(self, node: NodeProto, port: int, array: np.ndarray) -> None:
        name = f"planted_{port}"
        self.proto.graph.initializer.append(numpy_helper.from_array(array, name))
        while len(node.input) <= port:
            node.input.append("")
        node.input[port] = name

    def insert(self, node: NodeProto, port: int, op_type: str, **attributes: Any) -> NodeProto:
        """A new node between ``node`` and its input."""
        new = helper.make_node(op_type, [node.input[port]], ["planted"], name="planted_node", **attributes)
        place = list(self.proto.graph.node).index(node)
        self.proto.graph.node.insert(place, new)
        self.proto.graph.node[place + 1].input[port] = "planted"
        return self.proto.graph.node[place]

    def imports(self, **versions: int) -> None:
        for entry in self.proto.opset_import:
            entry.version = versions.get(entry.domain or "default", entry.version)

    def weights(self) -> list[TensorProto]:
        return [t for t in self.proto.graph.initializer if t.external_data]

    def external(self, which: int = 0) -> tuple[TensorProto, dict[str, onnx.StringStringEntryProto]]:
        tensor = self.weights()[which]
        self.where = tensor.name
        return tensor, {e.key: e for e in tensor.external_data}

    @property
    def data(self) -> Path:
        return self.path.with_name(self.external()[1]["location"].value)


@dataclass
class Fault:
    """One fault: into which file, of which code, mended by which pass, and how it is planted."""

    code: str
    fix: str
    base: str
    plant: Callable[[Model], None]
    asked: dict[str, Any] = field(default_factory=dict)
    what: str = ""


FAULTS: list[Fault] = []


def fault(code: str, base: str, fix: str = "", **asked: Any) -> Callable[[Callable[[Model], None]], Callable[[Model], None]]:
    def add(plant: Callable[[Model], None]) -> Callable[[Model], None]:
        FAULTS.append(Fault(code, fix, base, plant, asked, plant.__name__.replace("_", " ")))
        return plant

    return add


@fault("GF001", NVFP4, "opset23")
def fp4_at_opset_20(m: Model) -> None:
    m.imports(default=20)
    m.node("DequantizeLinear", weight=True, attribute="block_size")


@fault("GF001", FP8, "opset23")
def fp8_cast_at_opset_18(m: Model) -> None:
    node = m.node("MatMul")
    m.insert(node, 0, "Cast", to=TensorProto.FLOAT8E4M3FN)
    m.imports(default=18)
    m.where = "planted_node"


@fault("GF002", NVFP4, "opset23")
def block_size_at_opset_20(m: Model) -> None:
    m.imports(default=20)
    m.node("DequantizeLinear", attribute="block_size")


@fault("GF002", INT8, "opset23")
def precision_at_opset_22(m: Model) -> None:
    m.imports(default=22)
    m.node("QuantizeLinear", attribute="precision")


@fault("GF002", INT8)
def attribute_that_never_existed(m: Model) -> None:
    m.node("MatMul").attribute.add(name="transposed", type=onnx.AttributeProto.INT, i=1)


@fault("GF003", INT8, "opset23")
def gelu_before_opset_20(m: Model) -> None:
    m.imports(default=19)
    m.node("Gelu")


@fault("GF003", FP8)
def operator_that_lost_its_domain(m: Model) -> None:
    m.node("TRT_FP8QuantizeLinear").ClearField("domain")


@fault("GF004", NVFP4, "trt-types")
def block_scale_without_value_info(m: Model) -> None:
    m.proto.graph.value_info.remove(m.info(m.node(QUANTIZE).output[1]))


@fault("GF004", NVFP4, "trt-types")
def fp4_output_undefined(m: Model) -> None:
    m.info(m.node(QUANTIZE, 3).output[0]).type.tensor_type.elem_type = 0


@fault("GF004", FP8, "trt-types")
def fp8_output_without_value_info(m: Model) -> None:
    m.proto.graph.value_info.remove(m.info(m.node("TRT_FP8QuantizeLinear", 5).output[0]))


@fault("GF005", NVFP4, "trt-types")
def block_scale_typed_fp4(m: Model) -> None:
    m.info(m.node(QUANTIZE, 7).output[1]).type.tensor_type.elem_type = TensorProto.FLOAT4E2M1


@fault("GF005", FP8, "trt-types")
def fp8_typed_uint8(m: Model) -> None:
    m.info(m.node("TRT_FP8QuantizeLinear").output[0]).type.tensor_type.elem_type = TensorProto.UINT8


@fault("GF005", FP8, "trt-types")
def fp8_dequantize_typed_float32(m: Model) -> None:
    m.info(m.node("TRT_FP8DequantizeLinear", 2).output[0]).type.tensor_type.elem_type = TensorProto.FLOAT


@fault("GF006", NVFP4)
def quantizer_that_the_ep_lacks(m: Model) -> None:
    m.node(QUANTIZE).op_type = "TRT_MXFP8DynamicQuantize"


@fault("GF006", FP8)
def operator_of_tomorrow(m: Model) -> None:
    m.node("TRT_FP8QuantizeLinear", 1).op_type = "TRT_Tomorrow"


@fault("GF007", NVFP4, "fp4-qdq")
def dequantize_of_fp4_in_trt(m: Model) -> None:
    m.node("DequantizeLinear", 4).domain = "trt"


@fault("GF007", INT8, "fp4-qdq")
def quantize_of_int8_in_trt(m: Model) -> None:
    m.node("QuantizeLinear").domain = "trt"
    m.proto.opset_import.add(domain="trt", version=1)


@fault("GF008", NVFP4, "opset-imports")
def trt_not_imported(m: Model) -> None:
    m.proto.opset_import.remove(next(e for e in m.proto.opset_import if e.domain == "trt"))
    m.node(QUANTIZE)


@fault("GF008", INT8, "opset-imports")
def contrib_domain_not_imported(m: Model) -> None:
    m.node("Gelu").domain = "com.microsoft"


@fault("GF009", FP8, "opset-imports")
def domain_imported_twice(m: Model) -> None:
    m.proto.opset_import.add(domain="trt", version=1)
    m.where = "model"


@fault("GF009", INT8, "opset-imports")
def default_domain_under_both_names(m: Model) -> None:
    m.proto.opset_import.insert(0, helper.make_opsetid("ai.onnx", 20))
    m.where = "model"


@fault("GF010", NVFP4, "init-inputs")
def weight_as_input(m: Model) -> None:
    tensor, _ = m.external(4)
    m.proto.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))


@fault("GF011", NVFP4, "opset23")
def ir_9_with_opset_23(m: Model) -> None:
    m.proto.ir_version, m.where = 9, "model"


@fault("GF012", NVFP4, "ir-version", ort="1.30")
def ir_14_for_runtime_1_30(m: Model) -> None:
    m.proto.ir_version, m.where = 14, "model"


@fault("GF012", INT8, "ir-version", ort="1.23.2")
def ir_13_for_runtime_1_23(m: Model) -> None:
    m.proto.ir_version, m.where = 13, "model"


@fault("GF013", INT8, ort="1.24")
def opset_26_for_runtime_1_24(m: Model) -> None:
    m.imports(default=26)
    m.where = "model"


@fault("GF014", INT8, targets=["sm86"])
def fp8_for_rtx_30(m: Model) -> None:
    m.insert(m.node("MatMul"), 0, "Cast", to=TensorProto.FLOAT8E4M3FN)
    m.where = "planted_node"


@fault("GF014", FP8, targets=["sm89"])
def fp4_for_rtx_40(m: Model) -> None:
    m.insert(m.node("MatMul"), 0, "Cast", to=TensorProto.FLOAT4E2M1)
    m.where = "planted_node"


@fault("GF015", NVFP4)
def blocks_along_the_tokens(m: Model) -> None:
    node = m.node(QUANTIZE, TEXT)
    next(a for a in node.attribute if a.name == "axis").i = 1


@fault("GF015", NVFP4)
def axis_forgotten(m: Model) -> None:
    node = m.node(QUANTIZE, TEXT)
    node.attribute.remove(next(a for a in node.attribute if a.name == "axis"))


@fault("GF016", NVFP4)
def activation_blocks_do_not_divide(m: Model) -> None:
    next(a for a in m.node(QUANTIZE).attribute if a.name == "block_size").i = 48


@fault("GF016", NVFP4)
def weight_blocks_do_not_divide(m: Model) -> None:
    node = m.node("DequantizeLinear", weight=True, attribute="block_size")
    next(a for a in node.attribute if a.name == "block_size").i = 24


@fault("GF016", NVFP4)
def blocks_on_an_axis_that_is_not_there(m: Model) -> None:
    next(a for a in m.node(QUANTIZE).attribute if a.name == "axis").i = 5


@fault("GF017", NVFP4)
def fp4_of_four_dimensions(m: Model) -> None:
    node = m.node(QUANTIZE, TEXT)
    where = node.name
    m.proto.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "planted_axes"))
    m.insert(node, 0, "Unsqueeze").input.append("planted_axes")
    m.where = where


@fault("GF018", INT8)
def asymmetric_activation(m: Model) -> None:
    m.add_constant(m.node("QuantizeLinear", 2), 2, np.array(3, np.int8))


@fault("GF018", INT8)
def asymmetric_weight(m: Model) -> None:
    m.add_constant(m.node("DequantizeLinear", 5), 2, np.array(-7, np.int8))


@fault("GF019", INT8)
def scale_of_zero(m: Model) -> None:
    m.set_scale(m.node("QuantizeLinear"), 0.0)


@fault("GF019", FP8)
def negative_scale(m: Model) -> None:
    m.set_scale(m.node("TRT_FP8QuantizeLinear", 3), -0.5)


@fault("GF019", NVFP4)
def global_scale_of_zero(m: Model) -> None:
    m.set_scale(m.node(QUANTIZE, 2), 0.0)


@fault("GF019", NVFP4)
def block_scales_wiped_out(m: Model) -> None:
    node = m.node("DequantizeLinear", weight=True)
    while m.tensor(node.input[0]).data_type != TensorProto.FLOAT8E4M3FN:
        node = m.user(node.output[0])
    blocked = m.user(node.output[0])
    m.add_constant(blocked, 1, np.zeros(tuple(m.tensor(node.input[0]).dims), np.float32))
    m.where = blocked.name


@fault("GF020", INT8)
def nan_scale(m: Model) -> None:
    m.set_scale(m.node("QuantizeLinear", 1), float("nan"))


@fault("GF020", FP8)
def infinite_scale(m: Model) -> None:
    m.set_scale(m.node("TRT_FP8DequantizeLinear", 1), float("inf"))


@fault("GF021", NVFP4, "fp4-qdq")
def cast_behind_dequantize_lost(m: Model) -> None:
    cast = m.node("Cast", of="DequantizeLinear")
    user = m.user(cast.output[0])
    user.input[list(user.input).index(cast.output[0])] = cast.input[0]
    m.where = user.name


@fault("GF021", INT8, "fp4-qdq")
def float32_scale_in_a_float16_graph(m: Model) -> None:
    node = m.node("DequantizeLinear", 1)
    m.add_constant(node, 1, np.array(0.01, np.float32))
    user = m.user(node.output[0])
    while user.op_type in {"Transpose", "Reshape"}:
        user = m.user(user.output[0])
    m.where = user.name


@fault("GF021", INT8)
def float32_island(m: Model) -> None:
    node = m.node("MatMul", of="Softmax")
    m.insert(node, 0, "Cast", to=TensorProto.FLOAT)
    m.where = node.name


@fault("GF022", NVFP4, "fp4-qdq")
def dequantize_typed_as_its_surroundings(m: Model) -> None:
    name = m.node("DequantizeLinear", attribute="block_size").output[0]
    m.info(name).type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT16, None))


@fault("GF022", INT8, "fp4-qdq")
def int8_typed_uint8(m: Model) -> None:
    name = m.node("QuantizeLinear", 4).output[0]
    m.info(name).type.CopyFrom(helper.make_tensor_type_proto(TensorProto.UINT8, None))


@fault("GF022", INT8, "fp4-qdq")
def weight_typed_as_something_else(m: Model) -> None:
    tensor, _ = m.external(2)
    m.info(tensor.name).type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, tensor.dims))


@fault("GF023", FP8)
def output_typed_as_something_else(m: Model) -> None:
    out = m.proto.graph.output[0]
    out.type.tensor_type.elem_type = TensorProto.FLOAT
    m.where = next(n.name for n in m.proto.graph.node if out.name in n.output)


@fault("GF024", NVFP4)
def data_file_left_behind(m: Model) -> None:
    data = m.data
    data.unlink()


@fault("GF024", INT8)
def data_file_renamed(m: Model) -> None:
    _, entries = m.external(3)
    entries["location"].value = "weights.bin"


@fault("GF025", NVFP4)
def download_cut_off(m: Model) -> None:
    data = m.data
    last = max((int({e.key: e.value for e in t.external_data}["offset"]), t.name) for t in m.weights())
    os.truncate(data, data.stat().st_size - 8)
    m.where = last[1]


@fault("GF025", FP8)
def length_less_than_the_shape_needs(m: Model) -> None:
    _, entries = m.external(1)
    entries["length"].value = str(int(entries["length"].value) // 2)


@fault("GF026", INT8)
def tensors_over_each_other(m: Model) -> None:
    ordered = sorted((int({e.key: e.value for e in t.external_data}["offset"]), i) for i, t in enumerate(m.weights()))
    _, first = m.external(ordered[3][1])
    tensor, second = m.external(ordered[4][1])
    second["offset"].value = str(int(first["offset"].value) + int(first["length"].value) // 2)
    m.where = tensor.name


@fault("GF027", NVFP4)
def saved_twice_onto_one_file(m: Model) -> None:
    data = m.data
    data.write_bytes(data.read_bytes() * 2)
    m.where = data.name


@fault("GF028", FP8)
def data_in_the_folder_above(m: Model) -> None:
    m.external(2)[1]["location"].value = "../model.onnx_data"


@fault("GF028", INT8)
def absolute_path(m: Model) -> None:
    m.external()[1]["location"].value = "/srv/models/model.onnx_data"


@fault("GF029", INT8)
def data_file_hard_linked(m: Model) -> None:
    os.link(m.data, m.data.with_name("cache"))
    m.where = m.data.name


@fault("GF030", NVFP4)
def fp4_exported_at_opset_20(m: Model) -> None:
    m.imports(default=20)
    m.where = m.node("DequantizeLinear", weight=True, attribute="block_size").input[0]


@fault("GF031", INT8)
def text_length_frozen(m: Model) -> None:
    source = m.proto.graph.input[1]
    m.add_constant(NodeProto(input=["", ""]), 1, np.array([-1, 32, 2, 64], np.int64))
    m.proto.graph.node.insert(0, helper.make_node("Reshape", [source.name, "planted_1"], ["planted"], name="planted_node"))
    m.where = "planted_node"


@fault("GF031", FLUX)
def image_tokens_frozen_in_the_rotary_embedding(m: Model) -> None:
    parts = {n.output[0]: len(n.input) for n in m.proto.graph.node if n.op_type == "Concat"}
    node = next(n for n in m.proto.graph.node if n.op_type == "Reshape" and parts.get(n.input[1]) == 5)
    m.add_constant(node, 1, np.array([2, 96, 2, -1, 2], np.int64))
    m.where = node.name


@fault("GF032", FP8)
def bfloat16_input(m: Model) -> None:
    source = m.proto.graph.input[0]
    source.type.tensor_type.elem_type = TensorProto.BFLOAT16
    m.insert(m.user(source.name), 0, "Cast", to=TensorProto.FLOAT16)
    m.where = source.name


@fault("GF033", NVFP4)
def node_before_its_input(m: Model) -> None:
    node = m.node("Gelu")
    moved = NodeProto()
    moved.CopyFrom(node)
    m.proto.graph.node.remove(node)
    m.proto.graph.node.insert(0, moved)


@fault("GF033", INT8)
def maker_of_the_output_gone(m: Model) -> None:
    out = m.proto.graph.output[0].name
    m.proto.graph.node.remove(m.constant(out))
    m.where = "main graph"


@fault("GF034", FP8)
def scale_lost(m: Model) -> None:
    del m.node("TRT_FP8QuantizeLinear", 2).input[1]


@fault("GF034", NVFP4)
def fp4_of_double(m: Model) -> None:
    node = m.node(QUANTIZE, 1)
    where = node.name
    m.insert(node, 0, "Cast", to=TensorProto.DOUBLE)
    m.where = where


@fault("GF035", INT8)
def operand_lost(m: Model) -> None:
    del m.node("Gelu").input[:]
    m.where = "model"


@fault("GF036", NVFP4)
def axis_forgotten_where_no_shape_is_known(m: Model) -> None:
    node = m.node(QUANTIZE, TEXT + 3)
    node.attribute.remove(next(a for a in node.attribute if a.name == "axis"))


@fault("GF036", NVFP4)
def blocks_of_another_size(m: Model) -> None:
    next(a for a in m.node(QUANTIZE, 4).attribute if a.name == "block_size").i = 32


@fault("GF037", INT8)
def uint8_activation(m: Model) -> None:
    node = m.node("QuantizeLinear", 6)
    m.add_constant(node, 2, np.array(0, np.uint8))
    reader = m.user(node.output[0])
    while len(reader.input) < 3:
        reader.input.append("")
    reader.input[2] = node.input[2]


@fault("GF037", FP8)
def e5m2_weight(m: Model) -> None:
    node = m.insert(m.node("MatMul"), 0, "Cast", to=TensorProto.FLOAT8E5M2)
    m.where = node.name


def good(name: str, folder: Path) -> Path:
    """What ``trtrtx`` makes of an export."""
    folder.mkdir(exist_ok=True)
    return graphfix.apply(EXPORTS / f"{name}.onnx", "trtrtx").save(folder / "model.onnx").path


def found(planted: Fault, base: Path, folder: Path) -> str:
    """Plant a fault and look for it: empty when code, place and mending pass are right and the pass mends it, else what is not."""
    folder.mkdir()
    for file in base.parent.iterdir():
        shutil.copyfile(file, folder / file.name)
    path = folder / base.name
    model = Model(onnx.load(path, load_external_data=False), path)
    planted.plant(model)
    path.write_bytes(model.proto.SerializeToString())
    told = graphfix.lint(path, **planted.asked).findings
    same = [f for f in told if f.code == planted.code]
    here = [f for f in same if model.where in f.where]
    if not here:
        return f"not found at {model.where!r}; told: {[(f.code, f.where) for f in told[:3]]}"
    if {f.fix for f in here} != {planted.fix}:
        return f"mended by {here[0].fix!r} instead of {planted.fix!r}"
    if planted.fix:
        after = graphfix.lint(graphfix.apply(path, planted.fix).model, **planted.asked).findings
        if any(f.code == planted.code for f in after):
            return f"{planted.fix} does not mend it"
    return ""


def rates(folder: Path) -> tuple[dict[str, str], dict[str, int]]:
    """For each fault what went wrong (empty: found); for each clean file its number of findings at level error."""
    bases = {name: good(name, folder / name) for name in sorted({f.base for f in FAULTS})}
    missed = {f.what: found(f, bases[f.base], folder / f.what.replace(" ", "_")) for f in FAULTS}
    alarms = {
        name: graphfix.lint(bases.get(name) or good(name, folder / name), targets=["sm120"], ort="1.30").count("error") for name in clean()
    }
    return missed, alarms


def clean() -> list[str]:
    """The exports that the pipeline makes deployable."""
    return sorted({path.stem for path in EXPORTS.glob("*.onnx")} - NOT_DEPLOYABLE)


def table(missed: dict[str, str], alarms: dict[str, int]) -> str:
    """The table as Markdown."""
    levels = {cls.code: cls.level for cls in BUILT_IN}
    names = {cls.code: cls.name for cls in BUILT_IN}
    planted, caught = Counter(f.code for f in FAULTS), Counter(f.code for f in FAULTS if not missed[f.what])
    rows = [f"| {code} | {names[code]} | {levels[code]} | {caught[code]} of {planted[code]} |" for code in sorted(names)]
    errors = [f for f in FAULTS if levels[f.code] == "error"]
    lines = [
        "<!-- Generated by tools/lint_rates.py --write. -->",
        "",
        f"- faults found: {sum(caught.values())} of {len(FAULTS)} planted; of those at level error "
        f"{sum(not missed[f.what] for f in errors)} of {len(errors)}",
        f"- false alarms: {sum(1 for n in alarms.values() if n)} of {len(alarms)} clean files have a finding at level error",
        "",
        "| code | name | level | found |",
        "|---|---|---|---|",
        *rows,
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOC.relative_to(ROOT)}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        missed, alarms = rates(Path(folder))
    text = table(missed, alarms)
    print(text)
    for what, wrong in missed.items():
        if wrong:
            print(f"NOT FOUND {what}: {wrong}")
    if options.write:
        DOC.write_text(text, encoding="utf-8")
    return 1 if any(missed.values()) or any(alarms.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
