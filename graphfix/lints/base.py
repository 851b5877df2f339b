"""What the author of a lint imports: Lint and the context that it asks.

A lint is a rule that reads a model and never changes it. It has a code that is never given to another rule, a name that states the
smell, a level, the pass that mends it, and a docstring with the heads of `HEADS`, whose examples are ONNX text that the tests run.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from graphfix import element_types, inference
from graphfix.base import Context, Finding
from graphfix.errors import GraphfixError, ModelError
from graphfix.facts.targets import Target
from graphfix.facts.trt_ops import DOMAIN
from graphfix.io import Audit
from graphfix.model import DEFAULT_DOMAIN, Scope, constant_tensor, opset_version, tensor_type, walk_scoped

LEVELS = ("error", "warning", "info")
HEADS = ("What it does", "Why is this bad?", "Example", "Use instead", "References")
QDQ = ("QuantizeLinear", "DequantizeLinear")  # in this order, unlike the set of `graphfix.element_types`
# Elements. Lints look at values of constants up to this size (scales for each tensor or channel, zero points), never at weights.
SMALL = 1 << 16

ScopedNode = tuple[Scope, ir.Node]


class LintContext(Context):
    """A `Context` that many lints share: the model does not change, so all that is asked of it is computed once.

    Attributes:
        targets: The GPU generations asked for.
        ort: (major, minor) of the ONNX Runtime asked for, None where none was.
        audit: How the external data fared; None for a model that came from no file.
    """

    def __init__(
        self, model: ir.Model, *, targets: Sequence[Target] = (), ort: tuple[int, int] | None = None, audit: Audit | None = None
    ) -> None:
        super().__init__(model)
        self.targets, self.ort, self.audit = tuple(targets), ort, audit
        self.inference_error: ModelError | None = None
        self._constants: dict[ir.Value, np.ndarray | None] = {}

    @cached_property
    def nodes(self) -> list[ScopedNode]:
        """Every node with its scope, in any graph, subgraph or function."""
        return list(walk_scoped(self.model))

    @cached_property
    def _index(self) -> dict[tuple[str, str], list[ScopedNode]]:
        index: dict[tuple[str, str], list[ScopedNode]] = {}
        for scope, node in self.nodes:
            index.setdefault((node.domain, node.op_type), []).append((scope, node))
        return index

    def find(self, *op_types: str, domain: str = DEFAULT_DOMAIN) -> Iterable[ScopedNode]:
        """The nodes of some operators; without names, all of a domain. Nodes that a local function stands behind are left out."""
        local = {(f.domain, f.name) for f in self.model.functions.values()}
        for key in [(domain, name) for name in op_types] or [k for k in self._index if k[0] == domain]:
            if key not in local:
                yield from self._index.get(key, ())

    def trt_nodes(self) -> Iterable[ScopedNode]:
        """The nodes of domain ``trt`` that no local function stands behind."""
        return self.find(domain=DOMAIN)

    @cached_property
    def _types(self) -> inference.Types:
        try:
            return inference.infer(self.model)
        except ModelError as error:
            self.inference_error = error
            return {}

    def types(self) -> inference.Types:
        """Types and shapes by onnx's inference, once; nothing where it cannot work on the graph (`inference_error` says why)."""
        return self._types

    @cached_property
    def conflicts(self) -> list[element_types.Conflict]:
        """Inputs of one type variable whose types disagree."""
        return self._elements[1]

    @cached_property
    def _elements(self) -> tuple[element_types.Types, list[element_types.Conflict]]:
        found: list[element_types.Conflict] = []

        def resolve(conflict: element_types.Conflict) -> ir.DataType | None:
            found.append(conflict)
            place = element_types.reconciled(conflict)
            return place[1] if place is not None else None  # what is behind is typed as it will be once a Cast is there

        return element_types.element_types(self.model, resolve=resolve), found

    def element(self, value: ir.Value | None) -> ir.DataType | None:
        """The element type that the operators give a value, else the declared one."""
        if value is None:
            return None
        return self._elements[0].get(value) or tensor_type(value)

    def computed(self, value: ir.Value) -> ir.DataType | None:
        """The element type that the operators give a value."""
        return self._elements[0].get(value)

    def shape(self, value: ir.Value | None) -> ir.Shape | None:
        """The inferred shape of a value; in its unknown dimensions, and where nothing is inferred, the declared one."""
        if value is None:
            return None
        inferred = self.types()[value].shape if value in self.types() else None
        declared = value.shape
        if inferred is None or declared is None or len(inferred) != len(declared):
            return declared if inferred is None else inferred
        return ir.Shape(
            [new if isinstance(new, int) or new.value is not None else old for old, new in zip(declared, inferred, strict=True)]
        )

    @property
    def main_opset(self) -> int | None:
        """The version of the default domain in the model's own imports."""
        return opset_version(self.model.graph.opset_imports)

    def opset(self, scope: Scope) -> int | None:
        """The version of the default domain that governs a scope."""
        return opset_version(scope.opset_imports)

    def small_constant(self, value: ir.Value | None) -> np.ndarray | None:
        """The array behind a constant of at most `SMALL` elements; initializers that are listed as inputs count as constants."""
        if value is None:
            return None
        if value not in self._constants:
            try:
                tensor = value.const_value if value.is_initializer() else constant_tensor(value)
                self._constants[value] = tensor.numpy() if tensor is not None and tensor.size <= SMALL else None
            except (OSError, ValueError):  # the data file is not there or too short: other lints say so
                self._constants[value] = None
        return self._constants[value]


class Lint:
    """Base class of every lint. Subclasses set the attributes and implement `check`.

    Attributes:
        code: ``GF`` and three digits; never reused. Strangers' lints take other letters.
        name: The smell, in kebab-case.
        level: ``error`` (will not load, compile or be right), ``warning`` (may not), ``info``.
        fix: The pass that mends it, as on the command line; empty where none can.
        needs: ``target``, ``ort`` or ``file`` where the lint has nothing to say without.
    """

    code: ClassVar[str] = ""
    name: ClassVar[str] = ""
    level: ClassVar[str] = "error"
    fix: ClassVar[str] = ""
    needs: ClassVar[str] = ""

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """Yield a finding for each place where ``model`` has the smell."""
        raise GraphfixError(f"lint {self.code!r} does not implement check")

    def finding(self, ctx: Context, item: Any, message: str, *, fix: str | None = None) -> Finding:
        """A finding of this lint at ``item``: a node, value, graph, function, the model, or the name of something in a file."""
        where = item if isinstance(item, str) else ctx.where(item)
        return Finding(self.code, self.level, where, message, self.fix if fix is None else fix)

    @classmethod
    def sections(cls) -> dict[str, str]:
        """The docstring's text under each of its heads."""
        parts = f"\n{inspect.cleandoc(cls.__doc__ or '')}".split("\n## ")
        return {head.strip(): text.strip() for head, _, text in (part.partition("\n") for part in parts[1:])}
