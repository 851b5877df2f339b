"""A page for each pass: its docstring under its four heads, its options, and a graph before and after."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

from graphfix.base import Change, Pass, option_text
from graphfix.registry import Registry
from tools.docs_pages.examples import FOLDER, Example, text_of

HEADS = ("Why", "Before", "After", "Leaves alone")


def pages() -> dict[str, str]:
    """``passes/NAME.md`` for every pass that is installed, and their index."""
    registry = Registry.load()
    rows = registry.describe()
    found = {f"passes/{row.name}.md": page(registry.pass_class(row.name)[0]) for row in rows}
    return {"passes/index.md": _index([(row.name, row.summary) for row in rows], dict(registry.pipelines())), **found}


def page(cls: type[Pass]) -> str:
    """The page of one pass.

    Raises:
        SystemExit: It has no example, its example leaves it cold, or its docstring lacks a head.
    """
    path = FOLDER / f"{cls.name}.onnxtxt"
    if not path.is_file():
        raise SystemExit(f"pass {cls.name} has no example: write fixtures/passes/{path.name}")
    example = Example.read(path)
    applied = example.run()
    if not applied.changes and not applied.findings:
        raise SystemExit(f"fixtures/passes/{path.name}: {example.passes} has nothing to change there and nothing to say")
    before, after = text_of(example.model()), text_of(applied.model)
    parts = [
        f"# {cls.name}",
        f"**{cls.summary}.**",
        f"```sh\ngraphfix apply --passes {_quoted(example.passes)} model.onnx\n```",
        _docstring(cls),
        "## Options",
        _options(cls),
        "## A graph before and after",
        example.story,
        _fence("Before", before),
        _fence("After", after) if after != before else "After: the same graph.",
        _records(applied.changes),
        *(f"- {f.level} **{f.code}** at `{f.where}`: {f.message}" for f in applied.findings),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _quoted(passes: str) -> str:
    return f'"{passes}"' if "{" in passes else passes


def _docstring(cls: type[Pass]) -> str:
    first, *rest = inspect.cleandoc(cls.__doc__ or "").split("\n\n")
    out, seen = [first], []
    for paragraph in rest:
        head, colon, text = paragraph.partition(": ")
        if colon and head in HEADS:
            seen.append(head)
            out += [f"## {head}", text[0].upper() + text[1:]]
        else:
            out.append(paragraph)
    if tuple(seen) != HEADS:
        raise SystemExit(f"the docstring of pass {cls.name} has the heads {seen}, wanted {list(HEADS)}")
    return "\n\n".join(out)


def _options(cls: type[Pass]) -> str:
    rows = []
    for option in cls.option_fields():
        name = option.name.replace("_", "-")
        if option.metadata.get("free"):
            doc = re.sub(r"\s+", " ", inspect.cleandoc(cls.Options.__doc__ or ""))
            rows.append(("any `key=value`", "", doc))
        else:
            rows.append((f"`{name}`", f"`{option_text(option.default)}`", option.metadata.get("doc", "")))
    text = table(("option", "default", "meaning"), rows) if rows else "None."
    notes = [f"Comes after, where both run: {', '.join(f'[{name}]({name}.md)' for name in cls.after)}."] if cls.after else []
    notes += ["Reads the values of weights."] if cls.reads_weights else []
    notes += ["May change names, types or shapes of the model's inputs and outputs."] if cls.changes_interface else []
    return "\n\n".join([text, *notes])


def _fence(title: str, text: str) -> str:
    return f'```onnx title="{title}"\n{text}\n```'


def _records(changes: list[Change]) -> str:
    if not changes:
        return ""
    rows = [(f"`{c.where}`", c.what, f"{_code(c.before)} → {_code(c.after)}", c.why) for c in changes]
    return "What it records, and `--report` writes:\n\n" + table(("where", "what", "change", "why"), rows)


def _code(text: str) -> str:
    return f"`{text}`" if text else "nothing"


def _index(rows: list[tuple[str, str]], pipelines: dict[str, str]) -> str:
    shown = table(("pass", "what it does"), [(f"[{name}]({name}.md)", summary) for name, summary in rows])
    parts = ["# Passes", "One idea each; run in the order given: `--passes opset23,trt-types`.", shown]
    for name, text in pipelines.items():
        parts += [f"## {name}", " → ".join(f"[{step}]({file_of(step)})" for step in text.split(","))]
    return "\n\n".join(parts) + "\n"


def file_of(step: str) -> str:
    """The file of a pass' page, from the pass as it is written in a pipeline: ``opset23``, ``io{like=none}``."""
    return f"{Registry.load().pass_class(step.partition('{')[0])[0].name}.md"


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    titles = list(titles)
    lines = [titles, ["---"] * len(titles), *([re.sub(r"\s*\n\s*", " ", cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
