"""Between protos and the in-memory model, keeping what onnx-ir does not model itself; provenance in the metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from graphfix.errors import GraphfixError, ModelError
from graphfix.io import guard
from graphfix.model import ALIAS, DEFAULT_DOMAIN, DUPLICATES, SPARSE, TRAINING, scopes

PROVENANCE = "graphfix.provenance"
SOURCE = "graphfix.source"  # key of ir.Model.meta: the Source a model was loaded from
DECLARED = "graphfix.initializers_with_value_info"  # key of ir.Graph.meta


@dataclass(frozen=True)
class Source:
    """Where a model came from: its path, the digest of the header, the data files it refers to, and what identifies each of these files.

    ``stamps`` has (file, `graphfix.io.files.stamp`) for the model first, then for its data files.
    """

    path: Path
    sha256: str
    data_files: tuple[str, ...]
    stamps: tuple[tuple[str, tuple[int, ...]], ...] = ()


def from_proto(proto: onnx.ModelProto, name: str = "the model") -> ir.Model:
    """Turn a proto into the in-memory model, keeping what onnx-ir does not model itself.

    Raises:
        ModelError: The proto is malformed.
    """
    guard.check(proto, name)
    try:
        model = ir.serde.deserialize_model(proto)
    except ir.serde.SerdeError as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise ModelError(f"{name} is malformed", why=f"{type(cause).__name__}: {cause}") from error
    _merge_imports(model, [(entry.domain, entry.version) for entry in proto.opset_import])
    if proto.training_info:
        model.meta[TRAINING] = list(proto.training_info)
    for graph, graph_proto in _pair_graphs(model.graph, proto.graph):
        if graph_proto.sparse_initializer:
            graph.meta[SPARSE] = {s.values.name: s for s in graph_proto.sparse_initializer}
        graph.meta[DECLARED] = {v.name for v in graph_proto.value_info} & graph.initializers.keys()
    return model


def _merge_imports(model: ir.Model, declared: list[tuple[str, int]]) -> None:
    """One entry for each domain; where a domain is listed twice the last entry counts, as in ONNX Runtime."""
    merged: dict[str, int] = {}
    names: dict[str, str] = {}
    duplicates = []
    for spelled, version in declared:
        domain = DEFAULT_DOMAIN if spelled == ALIAS else spelled
        if domain in merged:
            duplicates.append((domain, f"{merged[domain]} and {version}", str(version)))
            names[domain] = domain
        names.setdefault(domain, spelled)
        merged[domain] = version
    if duplicates:
        model.graph.opset_imports.clear()
        model.graph.opset_imports.update({names[domain]: version for domain, version in merged.items()})
        model.meta[DUPLICATES] = duplicates


def _pair_graphs(graph: ir.Graph, proto: onnx.GraphProto) -> Iterator[tuple[ir.Graph, onnx.GraphProto]]:
    pending = [(graph, proto)]
    while pending:
        graph, proto = pending.pop()
        yield graph, proto
        for node, node_proto in zip(graph, proto.node, strict=True):
            for attribute in node_proto.attribute:
                if attribute.ref_attr_name:
                    continue
                if attribute.type == onnx.AttributeProto.GRAPH:
                    pending.append((node.attributes[attribute.name].as_graph(), attribute.g))
                elif attribute.type == onnx.AttributeProto.GRAPHS:
                    pending.extend(zip(node.attributes[attribute.name].as_graphs(), attribute.graphs, strict=True))


def to_proto(model: ir.Model) -> onnx.ModelProto:
    """Turn the in-memory model into a proto, with what onnx-ir does not model put back.

    Raises:
        GraphfixError: A tensor that is computed on demand could not be.
        ModelError: The model holds something that ONNX cannot.
    """
    try:
        proto = ir.to_proto(model)
    except ir.serde.SerdeError as error:
        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, GraphfixError):
            cause = cause.__cause__
        if isinstance(cause, GraphfixError):
            raise cause from error
        raise ModelError("the model cannot be written", why=f"{type(cause).__name__}: {cause}") from error
    proto.training_info.extend(model.meta.get(TRAINING, ()))
    for graph, graph_proto in _pair_graphs(model.graph, proto.graph):
        graph_proto.sparse_initializer.extend(graph.meta.get(SPARSE, {}).values())
        # onnx-ir describes every initializer in value_info; a file that did not do so keeps its size.
        declared = graph.meta.get(DECLARED)
        if declared is not None:
            kept = [v for v in graph_proto.value_info if v.name not in graph.initializers or v.name in declared]
            if len(kept) < len(graph_proto.value_info):
                del graph_proto.value_info[:]
                graph_proto.value_info.extend(kept)
    return proto


def external_tensors(model: ir.Model) -> Iterator[ir.ExternalTensor]:
    """Every external tensor: initializers of all graphs, and tensors in attributes."""
    for scope in scopes(model):
        if isinstance(scope.body, ir.Graph):
            for value in scope.body.initializers.values():
                if isinstance(value.const_value, ir.ExternalTensor):
                    yield value.const_value
        for node in scope.body:
            for attr in node.attributes.data.values():  # the plain dict: as in `graphfix.model.subgraphs`
                if attr.type == ir.AttributeType.TENSOR and not attr.is_ref() and isinstance(attr.value, ir.ExternalTensor):
                    yield attr.value


def read_provenance(model: ir.Model) -> list[dict[str, Any]]:
    """The entries that graphfix wrote into the model's metadata, oldest first."""
    try:
        entries = json.loads(model.metadata_props.get(PROVENANCE, "[]"))
    except (ValueError, RecursionError):  # somebody else's text: no JSON, a number of 5,000 digits, 100,000 brackets
        return []
    return [entry for entry in entries if _ours(entry)] if isinstance(entries, list) else []


def _ours(entry: object) -> bool:
    """Whether an entry has the form that `add_provenance` is given."""
    passes = entry.get("passes") if isinstance(entry, dict) else None
    return isinstance(passes, list) and all(isinstance(text, str) for text in passes)


def add_provenance(model: ir.Model, entry: dict[str, Any]) -> None:
    """Append an entry to the model's provenance."""
    model.metadata_props[PROVENANCE] = json.dumps([*read_provenance(model), entry], sort_keys=True, separators=(",", ":"))
