"""What onnx-ir imports and a command that changes a graph never uses, executed when it is first used.

onnx-ir imports sympy for arithmetic on symbolic dimensions. That is more than half of the time that all imports of a command take, and
graphfix names dimensions, it does not compute with them. Python's own `importlib.util.LazyLoader` puts the execution off to the first use.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

# The second one uses the first while it is executed.
NAMES = ("sympy", "onnx_ir._symbolic_shapes")


class _Finder:
    """Stands before the other finders until it has seen all of ``NAMES``."""

    def __init__(self) -> None:
        self.left = set(NAMES)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Where the module is, as the path knows it, with a loader that waits."""
        if name not in self.left:
            return None
        self.left.discard(name)
        if not self.left:
            sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = LazyLoader(spec.loader)
        return spec


def install() -> None:
    """Put it off, unless onnx-ir or sympy are there already."""
    if not {"sympy", "onnx_ir"} & sys.modules.keys() and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
