"""The graphs of fixtures/passes, what a pass makes of them, and both as text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx.printer
import onnx_ir as ir

import graphfix

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "fixtures" / "passes"
WIDTH = 100  # characters of a line, as far as there is a place to break it
SHOWN = 8  # elements of a constant that are printed


@dataclass
class Example:
    """A graph with its story, and the pipeline that its page runs."""

    path: Path
    story: str
    passes: str
    graph: str
    weights: list[tuple[str, str, str, str, str]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Example:
        """Parse a fixture: a story, what to run, which weights to make up, then ONNX text."""
        lines = path.read_text(encoding="utf-8").split("\n")
        head = [line[2:] for line in lines if line.startswith("# ")]
        passes, weights = path.stem, []
        for line in head[1:]:
            key, _, text = line.partition(": ")
            if key == "passes":
                passes = text
            elif key == "weight" and (found := re.fullmatch(r"(\w+) (\w+) \[(.*)\] (\S+) (\S+)", text)):
                weights.append(found.groups())
            else:
                raise SystemExit(f"{path}: cannot read '# {line}'")
        return cls(path, head[0], passes, "\n".join(line for line in lines if not line.startswith("# ")), weights)

    def model(self) -> onnx.ModelProto:
        """The graph with its weights."""
        model = onnx.parser.parse_model(self.graph)
        model.graph.initializer.extend(ir.to_proto(_ramp(*weight)) for weight in self.weights)
        return model

    def run(self) -> graphfix.Applied[onnx.ModelProto]:
        """The pass, really run."""
        return graphfix.apply(self.model(), self.passes)


def _ramp(name: str, kind: str, shape: str, low: str, high: str) -> ir.Tensor:
    sizes = [int(size) for size in shape.split(",") if size.strip()]
    dtype = ir.DataType[kind.upper()].numpy()
    return ir.Tensor(np.linspace(float(low), float(high), int(np.prod(sizes, dtype=int))).reshape(sizes).astype(dtype), name=name)


def text_of(model: onnx.ModelProto) -> str:
    """ONNX text without graphfix's own record in the metadata; of constants longer than a few elements type and shape are shown."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    del shown.metadata_props[:]
    hidden = {t.name: t for t in shown.graph.initializer if np.prod(t.dims, dtype=int) > SHOWN or t.raw_data}
    values = {t.name: ir.from_proto(t).numpy() for t in hidden.values() if np.prod(t.dims, dtype=int) <= SHOWN}
    inputs = {v.name for v in shown.graph.input}
    kept = [t for t in shown.graph.initializer if t.name not in hidden]
    del shown.graph.initializer[:]
    shown.graph.initializer.extend(kept)
    declared = {v.name for v in shown.graph.value_info} | inputs
    shown.graph.value_info.extend(
        onnx.helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in hidden.values() if t.name not in declared
    )
    text = onnx.printer.to_text(shown)
    notes = [f"# {name} = {array.reshape(-1).tolist()}" for name, array in values.items()]
    unseen = [name for name in hidden if name not in values]
    notes += [f"# constant, values not shown: {', '.join(unseen)}"] if unseen else []
    return "\n".join([*notes, _fold(text).strip()])


def _fold(text: str) -> str:
    """What onnx prints, shorter and as a person writes it: the header in one line, attributes without their kinds, two spaces."""
    text = re.sub(r"<\s*(ir_version: \d+|domain: \"\w*\"),\s*(opset_import: \[.*?\])\s*>", r"<\1, \2>", text)
    text = re.sub(r"(\w+): (?:int|float|string|tensor|graph)s? = ", r"\1 = ", text)
    lines = [re.sub(r"^   ", "  ", line).rstrip() for line in text.split("\n")]
    lines = [line for long in lines for line in (re.sub(r" (=> )", r"\n  \1", long) if len(long) > WIDTH else long).split("\n")]
    return "\n".join(line for long in lines for line in (_wrapped(long) if long.startswith("  <") else [long]))


def _wrapped(line: str) -> list[str]:
    """A list of declarations, broken between them."""
    out = [""]
    for part in re.split(r"(?<=[\w}\"],) ", line.strip()):
        if out[-1] and len(out[-1]) + len(part) > WIDTH:
            out.append(part)
        else:
            out[-1] = f"{out[-1]} {part}".strip()
    return [f"  {text}" if i == 0 else f"   {text}" for i, text in enumerate(out)]
