"""opset-imports: the header's list of operator sets agrees with the operators in use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from graphfix.base import Change, Context, Pass, documented, free_options
from graphfix.model import ALIAS, DEFAULT_DOMAIN, DUPLICATES, Owner, scopes


@dataclass(frozen=True)
class Options:
    """Domains as keys, versions as values: ``opset-imports{com.microsoft=1}``."""

    prune: bool = documented(False, "remove imports that no node uses")
    versions: dict[str, str] = free_options()


class OpsetImports(Pass):
    """Every domain in use is imported once, under one spelling.

    Why: ONNX Runtime refuses a model whose node is of a domain that the header does not import
    (``No opset import for domain 'trt'``), which is what rebuilding a model with ``helper.make_model`` leaves behind. ``ai.onnx`` and
    the empty name are one domain, but several tools treat them as two.

    Before: missing, duplicate or ``ai.onnx`` imports in the model or in a local function.

    After: each used domain once, ``""`` for the default one, with the version that the model had, that the options name, or 1. Where
    duplicates disagree the last one counts, as it does in ONNX Runtime.

    Leaves alone: producer, metadata, functions, unused imports (unless ``prune``), and the default domain's version: only
    ``opset`` changes that, because it changes what nodes mean.
    """

    name = "opset-imports"
    summary = "Every used domain imported once; 'ai.onnx' spelled as the empty name"
    Options = Options
    after = ("opset", "fp4-qdq")

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """One change for each import that was added, merged, re-spelled, set or removed."""
        wanted = self._versions(ctx)
        for domain, before, after in model.meta.pop(DUPLICATES, []):
            yield ctx.change(model, f"import {domain!r}", before, after, "listed more than once; ONNX Runtime takes the last")
        used: dict[int, set[str]] = {}
        owners: dict[int, Owner] = {}
        for scope in scopes(model):
            owners[id(scope.owner)] = scope.owner
            used.setdefault(id(scope.owner), set()).update(node.domain for node in scope.body)
        for key, owner in owners.items():
            yield from self._settle(owner, used[key], wanted, ctx)

    def _versions(self, ctx: Context) -> dict[str, int]:
        versions = {}
        for domain, text in self.options.versions.items():
            if not text.isdecimal() or int(text) < 1:
                raise ctx.refuse(ctx.model, f"{domain}={text}", "a version is a positive whole number")
            if domain in {DEFAULT_DOMAIN, ALIAS}:
                raise ctx.refuse(
                    ctx.model,
                    f"to relabel the default domain as opset {text}",
                    "the version of the default domain decides what every node means",
                    f"--passes opset{text}",
                )
            versions[domain] = int(text)
        return versions

    def _settle(self, owner: Owner, used: set[str], wanted: dict[str, int], ctx: Context) -> Iterable[Change]:
        imports = owner.opset_imports
        if ALIAS in imports:
            imports[DEFAULT_DOMAIN] = imports.pop(ALIAS)
            yield ctx.change(owner, "import", "'ai.onnx'", "''", "two spellings of the default domain")
        for domain in sorted(used - imports.keys()):
            if domain == DEFAULT_DOMAIN:
                raise ctx.refuse(
                    owner,
                    "to guess the opset of the default domain",
                    "nodes use it and nothing says which version they were written for",
                    "add the import where the model is made: onnx.helper.make_model(..., opset_imports=[...])",
                )
            imports[domain] = wanted.get(domain, 1)
            yield ctx.change(owner, f"import {domain!r}", "missing", imports[domain], "a node is of this domain")
        for domain, version in wanted.items():
            if domain in imports and imports[domain] != version:
                yield ctx.change(owner, f"import {domain!r}", imports[domain], version, "set by the option")
                imports[domain] = version
        if self.options.prune:
            for domain in sorted(imports.keys() - used - wanted.keys()):
                yield ctx.change(owner, f"import {domain!r}", imports.pop(domain), "removed", "no node uses it")
