"""A pipeline: text to passes, order checked, run, verified between passes, changes collected.

The text is a comma-separated list of passes, each with options in braces: ``opset23,trt-types,opset-imports{com.microsoft=1}``. A named
pipeline stands for its text. The order is the reader's; where a pass must come after another one, a wrong order is an error.
"""

from __future__ import annotations

import dataclasses
import re
import time
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from graphfix.base import Change, Context, Finding, Pass
from graphfix.errors import GraphfixError, ModelError, PassError, UsageError
from graphfix.model import check_structure
from graphfix.ports import check_ports
from graphfix.registry import Registry

# Called with (pass name, its position from 0, how many passes) before each pass and with (..., count, count) at the end.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PassResult:
    """What one pass did."""

    name: str
    text: str
    seconds: float
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]


@dataclass
class PipelineResult:
    """What a pipeline did, pass by pass."""

    passes: list[PassResult] = field(default_factory=list)

    @property
    def changes(self) -> list[Change]:
        """All changes, in order."""
        return [change for result in self.passes for change in result.changes]

    @property
    def findings(self) -> list[Finding]:
        """All findings, in order."""
        return [finding for result in self.passes for finding in result.findings]


_ITEM = re.compile(r"\s*(?P<name>[A-Za-z][\w.-]*)\s*(?:\{(?P<options>[^{}]*)\})?\s*(?:,|$)")


def parse(text: str, registry: Registry) -> list[Pass]:
    """Turn a pipeline's text into passes, in the given order.

    Raises:
        UsageError: The text, a name, an option or the order is wrong.
    """
    passes = list(_parse(text, registry, ()))
    if not passes:
        raise UsageError("the list of passes is empty", hint="--passes opset23,trt-types   (or --passes trtrtx)")
    _check_order(passes)
    return passes


def _parse(text: str, registry: Registry, within: tuple[str, ...]) -> typing.Iterator[Pass]:
    position = 0
    pipelines = registry.pipelines()
    while position < len(text.rstrip()):
        match = _ITEM.match(text, position)
        if match is None:
            raise UsageError(
                f"cannot read the list of passes at {text[position:].strip()!r}",
                hint="write names with commas between them and options in braces: opset{target=23},trt-types",
            )
        position = match.end()
        name, options = match["name"], match["options"]
        if name in pipelines and name not in within:
            if options:
                raise UsageError(f"{name} is a pipeline and takes no options", hint=f"write out its passes: {pipelines[name]}")
            yield from _parse(pipelines[name], registry, (*within, name))
            continue
        cls, preset = registry.pass_class(name)
        given = {**preset, **_split_options(options or "", name)}
        yield cls(_options(cls, given))


def _split_options(text: str, name: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for item in filter(None, re.split(r"[,\s]+", text.strip())):
        key, equals, value = item.partition("=")
        if not key or (equals and not value):
            raise UsageError(f"cannot read option {item!r} of {name}", hint=f"write key=value: {name}{{key=value}}")
        given[key] = value if equals else "true"
    return given


def _options(cls: type[Pass], given: dict[str, str]) -> Any:
    kinds = typing.get_type_hints(cls.Options)
    fields = {f.name: f for f in dataclasses.fields(cls.Options)}
    free = next((f.name for f in fields.values() if f.metadata.get("free")), None)
    values: dict[str, Any] = {}
    extra: dict[str, str] = {}
    for key, text in given.items():
        attribute = key.replace("-", "_")
        if attribute in fields and attribute != free:
            values[attribute] = _convert(text, kinds[attribute], key, cls.name)
        elif free is not None:
            extra[key] = text
        else:
            known = ", ".join(f.replace("_", "-") for f in fields) or "none"
            raise UsageError(
                f"pass {cls.name} has no option {key!r}",
                why=f"its options: {known}",
                hint=f"graphfix passes {cls.name}",
            )
    if free is not None:
        values[free] = extra
    return cls.Options(**values)


_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _convert(text: str, kind: Any, key: str, name: str) -> Any:
    try:
        if kind is bool:
            return _BOOLEANS[text.lower()]
        return kind(text)
    except (KeyError, ValueError) as error:
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, getattr(kind, "__name__", str(kind)))
        raise UsageError(f"option {key}={text} of {name}: expected {wanted}", hint=f"graphfix passes {name}") from error


def _check_order(passes: Sequence[Pass]) -> None:
    for i, later in enumerate(passes):
        for earlier in passes[i + 1 :]:
            if earlier.name in later.after and earlier.name not in {p.name for p in passes[:i]}:
                fixed = [str(p) for p in passes if p is not earlier]
                fixed.insert(fixed.index(str(later)), str(earlier))
                raise UsageError(
                    f"{later.name} must come after {earlier.name}",
                    why=f"{later.name} works on what {earlier.name} leaves behind",
                    hint=f"--passes {','.join(fixed)}",
                )


def arrange(names: Sequence[str], registry: Registry) -> str:
    """The text of a pipeline that runs these passes in an order that `parse` accepts; of ``opset23`` and ``opset24`` the higher stays."""
    chosen: dict[str, Pass] = {}
    for name in names:
        made = next(_parse(name, registry, ()))
        other = chosen.get(made.name)
        if other is None or _level(made) > _level(other):
            chosen[made.name] = made
    ordered: list[Pass] = []
    pending = list(chosen.values())
    while pending:
        # Where classes disagree about the order there is none; the first goes, and `parse` says what is wrong.
        ready = next((p for p in pending if not any(o.name in p.after for o in pending if o is not p)), pending[0])
        pending.remove(ready)
        ordered.append(ready)
    return ",".join(map(str, ordered))


def _level(made: Pass) -> Any:
    return getattr(made.options, made.suffix) if made.suffix else 0


def run(model: ir.Model, passes: Sequence[Pass], progress: Progress | None = None) -> PipelineResult:
    """Run passes on ``model`` in place, and verify what each one that changed something left behind.

    Raises:
        PassError: A pass refused the model, failed, or broke it. The message names the pass and those before it.
        ModelError: The model did not hold together to begin with.
    """
    check_structure(model)
    check_ports(model)
    result = PipelineResult()
    for i, current in enumerate(passes):
        if progress is not None:
            progress(current.name, i, len(passes))
        result.passes.append(_run_one(model, current, result))
    if progress is not None:
        progress("", len(passes), len(passes))
    return result


def _run_one(model: ir.Model, current: Pass, so_far: PipelineResult) -> PassResult:
    ctx = Context(model, current.name)
    interface = None if current.changes_interface else _interface(model)
    began = time.perf_counter()
    try:
        changes = tuple(current.run(model, ctx))
    except GraphfixError:
        raise
    except Exception as error:
        done = ", ".join(r.name for r in so_far.passes) or "none"
        raise PassError(
            f"pass {current.name!r} failed: {type(error).__name__}: {error}",
            where=f"passes before it: {done}",
            why="this is an error in the pass, not in what was typed",
            hint="report it with the model's `graphfix inspect` output",
        ) from error
    if changes:
        try:
            check_structure(model)
        except ModelError as error:
            raise PassError(f"pass {current.name!r} left a broken graph: {error.what}", where=error.where, why=error.why) from error
    if interface is not None and (now := _interface(model)) != interface:
        lost = sorted(map(str, set(interface) ^ set(now)))
        raise PassError(
            f"pass {current.name!r} changed the model's inputs or outputs",
            why=f"{', '.join(lost) or 'their order'}; a pass that means to says changes_interface = True",
        )
    return PassResult(current.name, str(current), time.perf_counter() - began, changes, tuple(ctx.findings))


def _interface(model: ir.Model) -> list[tuple[str | None, str]]:
    """Names and types of inputs and outputs, in order."""
    graph = model.graph
    return [(v.name, str(v.type)) for v in graph.inputs] + [(v.name, str(v.type)) for v in graph.outputs]
