"""The API reference: every public name of graphfix, grouped; mkdocstrings reads the docstrings."""

from __future__ import annotations

import graphfix

GROUPS = {
    "Run": ("apply", "Applied", "lint", "Linted"),
    "Write a pass": ("Pass", "Context", "Change", "Finding", "walk", "documented", "free_options"),
    "Passes from other tools' code": ("rewrite_rules_pass", "graphsurgeon_pass"),
    "Write a lint": ("Lint", "LintContext"),
    "Errors": ("GraphfixError", "ModelError", "PassError", "UnavailableError", "UsageError"),
}


def pages() -> dict[str, str]:
    """``api.md``.

    Raises:
        SystemExit: A public name is in no group, or a group names one that is not public.
    """
    listed = {name for names in GROUPS.values() for name in names}
    public = set(graphfix.__all__) - {"__version__"}
    if listed != public:
        raise SystemExit(f"tools/docs_pages/api.py: the groups and graphfix.__all__ differ in {sorted(listed ^ public)}")
    parts = [
        "# API",
        "All of it is imported from `graphfix`. Importing the package loads neither onnx nor onnx-ir; the first use of a name does.",
    ]
    for group, names in GROUPS.items():
        parts += [f"## {group}", *(f"::: graphfix.{name}" for name in names)]
    return {"api.md": "\n\n".join(parts) + "\n"}
