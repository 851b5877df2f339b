"""What an operator takes and makes, by its schema: asked when a file is read and before passes run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import onnx
import onnx.defs
import onnx_ir as ir

from graphfix.errors import ModelError
from graphfix.facts.trt_ops import CONTRACTS, DOMAIN
from graphfix.model import ALIAS, DEFAULT_DOMAIN, Locator, opset_version, walk_scoped

_NEWEST = 2**31 - 1  # onnx takes a C int


@dataclass(frozen=True)
class Ports:
    """What an operator takes and makes.

    Attributes:
        inputs: The least and the largest number of inputs.
        outputs: Likewise.
        required: The inputs that may not be left out.
        attributes: The kind of each attribute (AttributeProto.AttributeType).
        needed: The attributes that must be there.
    """

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    required: frozenset[int]
    attributes: Mapping[str, int]
    needed: frozenset[str] = frozenset()


@lru_cache(maxsize=4096)
def ports_of(domain: str, op_type: str, version: int) -> Ports | None:
    """The ports of an operator; None where no table knows it."""
    if domain == DOMAIN and (contract := CONTRACTS.get(op_type)) is not None:
        required = frozenset(i for i, port in enumerate(contract.inputs) if not port[2])
        least = max(required, default=-1) + 1
        kinds = dict.fromkeys(contract.attributes, int(onnx.AttributeProto.INT))
        return Ports((least, len(contract.inputs)), (1, len(contract.outputs)), required, kinds)
    if version < 1 or not onnx.defs.has(op_type, max_inclusive_version=min(version, _NEWEST), domain=domain):
        return None
    schema: Any = onnx.defs.get_schema(op_type, min(version, _NEWEST), domain)
    single = onnx.defs.OpSchema.FormalParameterOption.Single
    return Ports(
        (schema.min_input, schema.max_input),
        (schema.min_output, schema.max_output),
        frozenset(i for i, port in enumerate(schema.inputs) if port.option == single),
        {name: int(attribute.type.value) for name, attribute in schema.attributes.items()},
        frozenset(name for name, attribute in schema.attributes.items() if attribute.required),
    )


def check_ports(model: ir.Model) -> None:
    """Refuse nodes that lack what their operator cannot do without, or have more than it knows.

    Raises:
        ModelError: With the node, and what it lacks.
    """
    local = {(f.domain, f.name) for f in model.functions.values()}
    locate = Locator(model).where
    for scope, node in walk_scoped(model):
        domain = DEFAULT_DOMAIN if node.domain == ALIAS else node.domain
        if (domain, node.op_type) in local:
            continue
        ports = ports_of(domain, node.op_type, opset_version(scope.opset_imports, domain) or 0)
        what = _lacks(node, ports) if ports is not None else ""
        if what:
            raise ModelError(what, where=locate(node), why="its operator's definition", hint="export the model again")


def _lacks(node: ir.Node, ports: Ports) -> str:
    inputs, name = node.inputs, node.op_type
    for kind, count, (least, most) in (("input", len(inputs), ports.inputs), ("output", len(node.outputs), ports.outputs)):
        if count < least:
            return f"{name} needs at least {least} {kind}{'s' if least != 1 else ''}, this one has {count}"
        if count > most:
            return f"{name} has at most {most} {kind}{'s' if most != 1 else ''}, this one has {count:,}"
    for port in ports.required:
        if port < len(inputs) and inputs[port] is None:
            return f"input {port} of {name} is left out, and the operator needs it"
    for attribute in ports.needed - node.attributes.keys() if ports.needed else ():
        return f"attribute {attribute} of {name} is missing"
    return ""
