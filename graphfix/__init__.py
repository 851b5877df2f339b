"""graphfix: graph surgery for quantized ONNX models.

    import graphfix

    result = graphfix.apply("model.onnx", "opset23,trt-types")
    result.save("model.fixed.onnx")

Importing this package imports neither onnx nor onnx-ir; the first use of a name does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from graphfix import deferred
from graphfix._version import __version__

if TYPE_CHECKING:
    from graphfix.adapters import graphsurgeon_pass, rewrite_rules_pass
    from graphfix.api import Applied, apply
    from graphfix.base import Change, Context, Finding, Pass, documented, free_options
    from graphfix.errors import GraphfixError, ModelError, PassError, UnavailableError, UsageError
    from graphfix.lints.base import Lint, LintContext
    from graphfix.lints.run import Linted, lint
    from graphfix.model import walk

deferred.install()

_HOMES = {
    "graphfix.adapters": ("graphsurgeon_pass", "rewrite_rules_pass"),
    "graphfix.api": ("Applied", "apply"),
    "graphfix.base": ("Change", "Context", "Finding", "Pass", "documented", "free_options"),
    "graphfix.errors": ("GraphfixError", "ModelError", "PassError", "UnavailableError", "UsageError"),
    "graphfix.lints.base": ("Lint", "LintContext"),
    "graphfix.lints.run": ("Linted", "lint"),
    "graphfix.model": ("walk",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Applied",
    "Change",
    "Context",
    "Finding",
    "GraphfixError",
    "Lint",
    "LintContext",
    "Linted",
    "ModelError",
    "Pass",
    "PassError",
    "UnavailableError",
    "UsageError",
    "__version__",
    "apply",
    "documented",
    "free_options",
    "graphsurgeon_pass",
    "lint",
    "rewrite_rules_pass",
    "walk",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'graphfix' has no attribute {name!r}")
