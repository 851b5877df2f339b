"""What the lints on external data share: one audit by `graphfix.io`, a lint for each kind of fault."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import onnx_ir as ir

from graphfix.base import Finding
from graphfix.lints.base import Lint, LintContext


class ExternalDataLint(Lint):
    """A lint that tells the faults of one kind."""

    needs = "file"
    kind: ClassVar[str] = ""

    def check(self, model: ir.Model, ctx: LintContext) -> Iterable[Finding]:
        """One finding for each fault of this kind, at the tensor, else at the data file."""
        for fault in ctx.audit.faults if ctx.audit is not None else ():
            if fault.kind == self.kind:
                told = f"{fault.what}: {fault.why}" if fault.why else fault.what
                yield self.finding(ctx, fault.tensor or fault.location, told)
