"""Write graphfix/facts/opset_changes.tsv: every default-domain operator's every version, with what changed and what to do about it.

The differences are derived from ``onnx.defs``. Whether a difference is harmless is derived too, where schemas can tell: types only
widened, attributes only added as optional with a default, inputs only appended as optional. Everything else, and every change of meaning
that schemas do not show, is a decision below, with its reason.

    python tools/make_opset_table.py          write the table
    python tools/make_opset_table.py --check  exit 1 if the table on disk differs from what this onnx release says
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import onnx.defs
from onnx.defs import OpSchema

TABLE = Path(__file__).parents[1] / "graphfix" / "facts" / "opset_changes.tsv"
CHANGELOG = "onnx docs/Changelog.md#{op}-{version}"
HEAD = "op\tfrom\tto\tverdict\trule\tdown\tdifference\tsource"

# Rewrites: (rule in passes/opset_rules, opset, operators). Each is either visible in the schemas and not harmless, or a change of meaning
# that they do not show (marked *).
_ARITHMETIC = "Add Div Mul Sub"
_REDUCTIONS = "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSumSquare"
_RULES = (
    ("pad_paddings", 2, "Pad"),
    ("pool_p", 2, "GlobalLpPool LpPool"),
    ("split_sizes", 2, "Split"),
    ("gru_direction", 3, "GRU"),
    ("concat_axis", 4, "Concat"),
    ("reshape_input", 5, "Reshape"),
    (
        "consumed_inputs",
        6,
        f"Abs {_ARITHMETIC} BatchNormalization Ceil Clip Dropout Elu Exp Floor HardSigmoid InstanceNormalization LeakyRelu Log Max Mean "
        "Min Neg PRelu Reciprocal Relu Sigmoid Sqrt Sum Tanh",
    ),
    ("selu_constants", 6, "Selu"),
    ("cast_by_number", 6, "Cast"),
    ("tile_repeats", 6, "Tile"),
    ("numpy_broadcast", 7, f"{_ARITHMETIC} And Equal Greater Less Or Pow Xor"),
    ("gemm_broadcast", 7, "Gemm"),
    ("prelu_slope", 7, "PRelu"),  # *
    ("inference_only", 7, "BatchNormalization Dropout"),
    ("output_sequence", 7, "GRU LSTM RNN"),
    ("upsample_sides", 7, "Upsample"),
    ("batch_norm_spatial", 9, "BatchNormalization"),
    ("upsample_scales", 9, "Upsample"),
    ("scan_batch", 9, "Scan"),
    ("slice_inputs", 10, "Slice"),
    ("topk_input", 10, "TopK"),
    ("dropout_mask", 10, "Dropout"),
    ("upsample_to_resize", 10, "Upsample"),
    ("resize_coordinates", 11, "Resize"),
    ("clip_inputs", 11, "Clip"),
    ("pad_inputs", 11, "Pad"),
    ("scatter_elements", 11, "Scatter"),
    ("dropout_ratio", 12, "Dropout"),
    ("softmax_axis", 13, "Hardmax LogSoftmax Softmax"),  # also *: the input is no longer made a matrix
    ("axes_input", 13, "ReduceSum Squeeze Unsqueeze"),
    ("split_input", 13, "Split"),
    ("resize_modes", 13, "Resize"),  # * one coordinate mode is gone
    ("erf_integers", 13, "Erf"),
    ("batch_norm_training", 14, "BatchNormalization"),
    ("roi_align_coordinates", 16, "RoiAlign"),  # * the default differs from what the operator did
    ("axes_input", 18, _REDUCTIONS),
    ("split_count", 18, "Split"),  # * one of the added attribute and the input is required
    ("quantize_integers", 19, "QuantizeLinear"),  # * x and y_scale share a type variable
    ("dft_axis", 20, "DFT"),
    ("grid_sample_modes", 20, "GridSample"),
    ("group_norm_per_channel", 21, "GroupNormalization"),  # * scale and bias: one per group -> one per channel
    ("pool_shapes", 22, "AveragePool LpPool MaxPool"),  # * shape inference with ceil_mode=1 drops windows that start in the right padding
    ("quantize_precision", 23, "QuantizeLinear"),  # * without `precision` the division is now in the scale's type
    ("reduce_log_integers", 28, "ReduceLogSum ReduceLogSumExp"),
)
# The way down: rules for leaving an opset, where fitting the older schema (`narrow`) is not enough. A rewritten step that has none here
# is refused, as is everything below DOWN_TO: operators counted no axes from the back before 11, and schemas do not show that.
_DOWN = (
    ("floor_mod", 28, "Mod"),
    ("narrow", 28, "ReduceLogSum ReduceLogSumExp"),
    ("attention_window", 25, "Attention"),
    ("attention_mask", 24, "Attention"),
    ("quantize_type", 23, "QuantizeLinear"),
    ("dequantize_type", 23, "DequantizeLinear"),
    ("pool_shapes_down", 22, "AveragePool LpPool MaxPool"),
    ("group_norm_per_group", 21, "GroupNormalization"),
    ("quantize_output", 21, "QuantizeLinear"),
    ("grid_sample_names", 20, "GridSample"),
    ("dft_axis_attribute", 20, "DFT"),
    ("narrow", 19, "QuantizeLinear"),
    ("pad_wrap", 19, "Pad"),
    ("resize_symmetric", 19, "Resize"),
    ("pool_dilations", 19, "AveragePool"),
    ("split_equal", 18, "Split"),
    ("pad_all_axes", 18, "Pad"),
    ("scatter_reduction", 18, "ScatterElements ScatterND"),
    ("axes_attribute", 18, _REDUCTIONS),
    ("roi_align_mode", 16, "RoiAlign"),
    ("shape_slice", 15, "Shape"),
    ("inference_norm", 14, "BatchNormalization"),
    ("axes_attribute", 13, "ReduceSum Squeeze Unsqueeze"),
    ("split_attribute", 13, "Split"),
    ("softmax_matrix", 13, "Hardmax LogSoftmax Softmax"),
    ("resize_inputs", 13, "Resize"),
    ("narrow", 13, "Erf"),
)
DOWN = {(op, opset): rule for rule, opset, ops in _DOWN for op in ops.split()}
DOWN_TO = 11

RULES = {(op, opset): rule for rule, opset, ops in _RULES for op in ops.split()}

# Differences that look unsafe to the derivation and are not: (operator, version) -> why.
HARMLESS: dict[tuple[str, int], str] = {}


def versions() -> dict[str, list[OpSchema]]:
    """Every default-domain operator with its schemas, oldest first."""
    found: dict[str, list[OpSchema]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            found.setdefault(schema.name, []).append(schema)
    return {op: sorted(schemas, key=lambda s: s.since_version) for op, schemas in sorted(found.items())}


def types(schema: OpSchema, port: OpSchema.FormalParameter) -> set[str]:
    """The type strings that a port admits."""
    for constraint in schema.type_constraints:
        if constraint.type_param_str == port.type_str:
            return set(constraint.allowed_type_strs)
    return {port.type_str}


def short(names: set[str]) -> str:
    """Type strings without their ``tensor()``."""
    return ",".join(sorted(n.removeprefix("tensor(").removesuffix(")") if n.startswith("tensor(") else n for n in names))


def ports(old: OpSchema, new: OpSchema, kind: str) -> Iterator[tuple[bool, str]]:
    """Differences between the inputs or outputs of two versions: (harmless, text)."""
    before, after = getattr(old, kind), getattr(new, kind)
    optional = OpSchema.FormalParameterOption.Optional
    if len(after) < len(before):
        yield False, f"{kind[:-1]} {before[len(after)].name} removed"
    for port in after[len(before) :]:
        yield (
            port.option == optional,
            f"{kind[:-1]} {port.name} added{'' if port.option == optional else ' (required)'}",
        )
    for a, b in zip(before, after, strict=False):
        if a.option != b.option:
            harmless = b.option in {optional, OpSchema.FormalParameterOption.Variadic} and a.option != optional
            yield harmless, f"{kind[:-1]} {b.name}: {a.option.name} -> {b.option.name}"
        lost, gained = types(old, a) - types(new, b), types(new, b) - types(old, a)
        if lost:
            yield False, f"{b.name} -{short(lost)}"
        if gained:
            yield True, f"{b.name} +{short(gained)}"


def ties(old: OpSchema, new: OpSchema) -> Iterator[tuple[bool, str]]:
    """Inputs and outputs that must have one type now and could differ before: (harmless, text)."""

    def tied(schema: OpSchema) -> set[tuple[str, str]]:
        ports = (*schema.inputs, *schema.outputs)
        return {(a.name, b.name) for a, b in itertools.combinations(ports, 2) if a.type_str == b.type_str}

    before = {port.name: types(old, port) for port in (*old.inputs, *old.outputs)}
    for a, b in sorted(tied(new) - tied(old)):
        if len(before.get(a, set()) | before.get(b, set())) > 1 and a in before and b in before:
            yield False, f"{a} and {b} must have one type"


def default(attribute: OpSchema.Attribute) -> str:
    """The default of an attribute as text; empty where it has none."""
    value = attribute.default_value
    return str(onnx.helper.get_attribute_value(value)) if value is not None and value.name else ""


def attributes(old: OpSchema, new: OpSchema) -> Iterator[tuple[bool, str]]:
    """Differences between the attributes of two versions: (harmless, text)."""
    for name in sorted(old.attributes.keys() - new.attributes.keys()):
        yield False, f"attribute {name} removed"
    for name in sorted(new.attributes.keys() - old.attributes.keys()):
        attribute = new.attributes[name]
        text = f"attribute {name} added" + (f" (default {default(attribute)})" if default(attribute) else "")
        yield not attribute.required, text + (" (required)" if attribute.required else "")
    for name in sorted(old.attributes.keys() & new.attributes.keys()):
        a, b = old.attributes[name], new.attributes[name]
        if a.type != b.type:
            yield False, f"attribute {name}: {a.type.name} -> {b.type.name}"
        if default(a) != default(b):
            yield False, f"attribute {name}: default {default(a) or 'none'} -> {default(b) or 'none'}"
        if a.required != b.required:
            yield not b.required, f"attribute {name}: {'required' if b.required else 'optional'}"


def rows() -> Iterator[str]:
    """The lines of the table, head first."""
    yield HEAD
    for op, schemas in versions().items():
        first = schemas[0]
        source = CHANGELOG.format(op=op, version=first.since_version)
        yield f"{op}\t0\t{first.since_version}\tnew\t\trefuse\tfirst appears\t{source}"
        for old, new in itertools.pairwise(schemas):
            differences = [*ports(old, new, "inputs"), *ports(old, new, "outputs"), *ties(old, new), *attributes(old, new)]
            key = (op, new.since_version)
            text = "; ".join(dict.fromkeys(text for _, text in differences)) or "wording only"
            if new.deprecated and not old.deprecated:
                text = f"deprecated; {text}"
            harmless = all(ok for ok, _ in differences) and not (new.deprecated and not old.deprecated)
            if key in HARMLESS:
                harmless, text = True, f"{text} ({HARMLESS[key]})"
            rule = RULES.get(key, "")
            verdict = "rewrite" if rule else "compatible" if harmless else "refuse"
            down = DOWN.get(key, "narrow" if harmless and not rule else "refuse") if new.since_version > DOWN_TO else "refuse"
            source = CHANGELOG.format(op=op, version=new.since_version)
            yield f"{op}\t{old.since_version}\t{new.since_version}\t{verdict}\t{rule}\t{down}\t{text}\t{source}"


def main() -> int:
    text = "\n".join(rows()) + "\n"
    if "--check" in sys.argv[1:]:
        held = TABLE.read_text(encoding="utf-8").splitlines()
        wanted = text.splitlines()
        for line in sorted(set(wanted) ^ set(held)):
            print("+" if line in wanted else "-", line.replace("\t", " | "))
        return int(held != wanted)
    TABLE.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
