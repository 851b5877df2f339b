"""A page for each lint: what ``graphfix explain`` prints, from the same docstring."""

from __future__ import annotations

import re

from graphfix.lints.base import HEADS, Lint
from graphfix.lints.run import collect
from tools.docs_pages.passes import file_of, table

OPTIONS = {
    "target": "Looks only with `--target`.",
    "ort": "Looks only with `--ort`.",
    "file": "Looks only at files, not at models in memory.",
}


def pages() -> dict[str, str]:
    """``lints/GF001.md`` and so on, and their index."""
    lints = collect()
    return {"lints/index.md": _index(lints), **{f"lints/{cls.code}.md": page(cls) for cls in lints}}


def page(cls: type[Lint]) -> str:
    """The page of one lint.

    Raises:
        SystemExit: Its docstring lacks a head.
    """
    sections = cls.sections()
    if tuple(sections) != HEADS:
        raise SystemExit(f"the docstring of lint {cls.code} has the heads {list(sections)}, wanted {list(HEADS)}")
    mended = f"Mended by [{cls.fix}](../passes/{file_of(cls.fix)}): `graphfix lint --fix MODEL`." if cls.fix else "No pass can mend it."
    facts = " ".join(part for part in (f"Level: **{cls.level}**.", mended, OPTIONS.get(cls.needs, "")) if part)
    parts = [f"# {cls.code} {cls.name}", facts]
    for head in HEADS:
        parts += [f"## {head}", _linked(sections[head])]
    return "\n\n".join(parts) + "\n"


def _linked(text: str) -> str:
    """Bare addresses as links."""
    return re.sub(r"(?<![(<`])\bhttps?://[^\s)>`]+[^\s)>`.,;]", r"<\g<0>>", text)


def _index(lints: list[type[Lint]]) -> str:
    rows = [
        (f"[{cls.code}]({cls.code}.md)", cls.name, cls.level, f"[{cls.fix}](../passes/{file_of(cls.fix)})" if cls.fix else "")
        for cls in lints
    ]
    return (
        "# Lints\n\n`graphfix lint model.onnx` runs them all; `graphfix explain GF004` prints what its page here says. "
        "How often they are right was measured: [lint rates](../lint_rates.md).\n\n"
        + table(("code", "smell", "level", "mended by"), rows)
        + "\n"
    )
