"""Two more ways to write a pass: onnxscript rewrite rules, and functions on an onnx-graphsurgeon graph.

Both return a class like any other pass, for ``--plugin`` files and entry points alike:

    Fused = graphfix.rewrite_rules_pass("fuse-x", "Fuse x into y", rules=[rule])
    Renamed = graphfix.graphsurgeon_pass("rename-x", "Rename x", edit)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import onnx
import onnx_ir as ir

from graphfix import io
from graphfix.base import Change, Context, Pass
from graphfix.model import operator, walk


def rewrite_rules_pass(name: str, summary: str, *, rules: Sequence[Any], **declared: Any) -> type[Pass]:
    """A pass from onnxscript rewrite rules (``onnxscript.rewriter.pattern.RewriteRule`` or ``RewriteRuleSet``).

    Args:
        name: The name on the command line.
        summary: One line.
        rules: The rules, tried in order.
        declared: Other class attributes of `Pass`, for example ``after=("opset",)``.
    """

    class RewriteRules(Pass):
        def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
            from onnxscript.rewriter import RewritePass
            from onnxscript.rewriter.pattern import RewriteRuleSet

            before = _inventory(model, ctx)
            sets = [rule if isinstance(rule, RewriteRuleSet) else RewriteRuleSet([rule]) for rule in rules]
            for one in sets:
                RewritePass(one)(model)
            return _difference(before, _inventory(model, ctx), "onnxscript rewrite rule")

    return _named(RewriteRules, name, summary, declared)


def graphsurgeon_pass(name: str, summary: str, edit: Callable[[Any], Any], *, toposort: bool = False, **declared: Any) -> type[Pass]:
    """A pass from a function that edits an ``onnx_graphsurgeon.Graph`` in place (or returns another one).

    The model is converted to graphsurgeon and back around ``edit``. graphsurgeon has no local functions, loses the metadata of nodes, and
    cannot hold values of 4-bit types once they were read: what it would lose is put back or refused, never dropped.

    Args:
        name: The name on the command line.
        summary: One line.
        edit: The function.
        toposort: Sort the graph after ``edit``.
        declared: Other class attributes of `Pass`.
    """

    class GraphSurgeon(Pass):
        def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
            before = _inventory(model, ctx)
            _through_graphsurgeon(model, edit, toposort, ctx)
            return _difference(before, _inventory(model, ctx), "onnx-graphsurgeon function")

    return _named(GraphSurgeon, name, summary, {"changes_interface": True, **declared})


def _named(cls: type[Pass], name: str, summary: str, declared: dict[str, Any]) -> type[Pass]:
    for key, value in {"name": name, "summary": summary, **declared}.items():
        setattr(cls, key, value)
    return cls


Inventory = dict[str, tuple[str, str]]


def _inventory(model: ir.Model, ctx: Context) -> Inventory:
    """Every node by what it makes: (place, a text of operator, inputs and attributes)."""
    found: Inventory = {}
    for node in walk(model):
        key = next((v.name for v in node.outputs if v.name), None) or node.name or ""
        inputs = ",".join(v.name or "" if v is not None else "" for v in node.inputs)
        attributes = ",".join(f"{k}={_brief(a)}" for k, a in sorted(node.attributes.items()))
        found[key] = (ctx.where(node), f"{operator(node)}({inputs}){{{attributes}}}")
    return found


def _brief(attr: ir.Attr) -> str:
    simple = {
        ir.AttributeType.INT,
        ir.AttributeType.FLOAT,
        ir.AttributeType.STRING,
        ir.AttributeType.INTS,
        ir.AttributeType.FLOATS,
    }
    return str(attr.value) if attr.type in simple else attr.type.name


def _difference(before: Inventory, after: Inventory, why: str) -> list[Change]:
    changes = []
    for key in (*before, *(k for k in after if k not in before)):
        old, new = before.get(key), after.get(key)
        if old is None and new is not None:
            changes.append(Change(new[0], "node", "absent", new[1], why))
        elif old is not None and new is None:
            changes.append(Change(old[0], "node", old[1], "removed", why))
        elif old is not None and new is not None and old[1] != new[1]:
            changes.append(Change(new[0], "node", old[1], new[1], why))
    return changes


def _through_graphsurgeon(model: ir.Model, edit: Callable[[Any], Any], toposort: bool, ctx: Context) -> None:
    import onnx_graphsurgeon as gs

    proto = io.to_proto(model)
    names = {v.name for v in proto.graph.value_info}
    kept_nodes = {_key(n): (n.metadata_props, n.doc_string, n.overload) for n in proto.graph.node}
    graph = gs.import_onnx(proto)
    _read_from_the_models_folder(graph, {t.name: t for t in io.external_tensors(model)})
    returned = edit(graph)
    graph = returned if isinstance(returned, gs.Graph) else graph
    for tensor in graph.tensors().values():
        values = getattr(tensor, "_values", None)
        kind = getattr(values, "tensor", None)
        stored = next((i for i in proto.graph.initializer if i.name == tensor.name), None) if values is not None else None
        if stored is not None and kind is None and stored.data_type in _PACKED:
            raise ctx.refuse(
                model,
                f"to write back constant {tensor.name!r}",
                f"the function read its values, and graphsurgeon cannot export {onnx.TensorProto.DataType.Name(stored.data_type)}",
                "leave 4-bit constants unread, or write the pass on onnx-ir",
            )
    if toposort:
        graph.toposort()
    edited = gs.export_onnx(graph, do_type_check=False)
    for node in edited.graph.node:
        if (kept := kept_nodes.get(_key(node))) is not None:
            del node.metadata_props[:]
            node.metadata_props.extend(kept[0])
            node.doc_string, node.overload = kept[1], kept[2]
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    info = [v for v in edited.graph.value_info if v.name in names or v.type.WhichOneof("value")]
    for field in ("node", "input", "output", "initializer"):
        result.graph.ClearField(field)
        getattr(result.graph, field).extend(getattr(edited.graph, field))
    del result.graph.value_info[:]
    result.graph.value_info.extend(info)
    for entry in edited.opset_import:
        if entry.domain not in {e.domain for e in result.opset_import}:
            result.opset_import.append(entry)
    _take_over(model, io.from_proto(result))


def _read_from_the_models_folder(graph: Any, external: dict[str | None, ir.ExternalTensor]) -> None:
    """Let graphsurgeon's lazy constants read from where the model lies; left to itself it looks in the working directory."""
    from onnx_graphsurgeon.ir.tensor import Constant, LazyValues

    class Elsewhere(LazyValues):  # type: ignore[misc]
        def load(self) -> Any:
            return external[self.tensor.name].numpy()

    for tensor in graph.tensors().values():
        if isinstance(tensor, Constant) and isinstance(tensor._values, LazyValues) and tensor.name in external:
            tensor._values = Elsewhere(tensor._values.tensor)


_PACKED = frozenset(
    int(getattr(onnx.TensorProto, name)) for name in ("INT4", "UINT4", "FLOAT4E2M1", "INT2", "UINT2") if hasattr(onnx.TensorProto, name)
)


def _key(node: onnx.NodeProto) -> tuple[str, str]:
    return node.name, next((o for o in node.output if o), "")


def _take_over(model: ir.Model, other: ir.Model) -> None:
    """Make ``model`` hold what ``other`` holds; tensors that are external keep their folder."""
    base = next((t.base_dir for t in io.external_tensors(model)), "")
    for tensor in io.external_tensors(other):
        tensor.base_dir = base
    for value in other.graph.initializers.values():
        tensor_read = value.const_value
        # Values that the function read come back inside the header; as arrays they may leave it again when the model is saved.
        if base and isinstance(tensor_read, ir.serde.TensorProtoTensor) and tensor_read.nbytes >= io.EXTERNALIZE:
            value.const_value = ir.Tensor(tensor_read.numpy(), dtype=tensor_read.dtype, name=value.name)
    model.graph = other.graph
