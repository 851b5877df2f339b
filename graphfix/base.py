"""What the author of a pass imports: Pass, Change, Finding, Context.

A pass is a class with a name, a one-line summary, typed options (a frozen dataclass called ``Options``), a docstring, and
``run``, which edits the model in place and yields one `Change` for each thing it did. "Modified" is derived from the changes.
The shape follows MLIR's pass contract: argument, summary, description, options, statistics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import onnx_ir as ir

from graphfix import inference
from graphfix.errors import PassError
from graphfix.model import Locator, Names


@dataclass(frozen=True)
class Change:
    """One edit: where it was made, what was edited, from what, to what, and why that is right."""

    where: str
    what: str
    before: str
    after: str
    why: str


@dataclass(frozen=True)
class Finding:
    """Something a reader should know that no edit was made for. ``fix`` names the pass that would mend it."""

    code: str
    level: str
    where: str
    message: str
    fix: str = ""


@dataclass(frozen=True)
class NoOptions:
    """The options of a pass that has none."""


def free_options() -> Any:
    """A dataclass field that takes every ``key=value`` that no other field names (a ``dict[str, str]``)."""
    return field(default_factory=dict, metadata={"free": True})


def documented(default: Any, doc: str) -> Any:
    """A dataclass field with a default and the sentence that ``graphfix passes NAME`` prints for it."""
    return field(default=default, metadata={"doc": doc})


class Context:
    """What a pass may ask while it runs, and where it leaves what is not an edit.

    Everything here is computed on first use and kept until a pass reports a change.
    """

    def __init__(self, model: ir.Model, pass_name: str = "", progress: Callable[[str, int, int], None] | None = None):
        self.model = model
        self.pass_name = pass_name
        self.findings: list[Finding] = []
        self._progress = progress
        self._locator: Locator | None = None
        self._names: Names | None = None

    @property
    def names(self) -> Names:
        """Names that no scope of the model uses yet."""
        if self._names is None:
            self._names = Names(self.model)
        return self._names

    def where(self, item: ir.Node | ir.Value | ir.Graph | ir.Function | ir.Model) -> str:
        """The place of a node, value, graph or function, as a person would look for it."""
        if self._locator is None:
            self._locator = Locator(self.model)
        return self._locator.where(item)

    def change(self, item: Any, what: str, before: object, after: object, why: str) -> Change:
        """A `Change` at ``item`` (a node, value, graph, function or the model)."""
        return Change(self.where(item), what, str(before), str(after), why)

    def note(self, code: str, item: Any, message: str, *, level: str = "warning", fix: str = "") -> None:
        """Leave a `Finding`: reported, never an edit."""
        self.findings.append(Finding(code, level, self.where(item), message, fix))

    def refuse(self, item: Any, what: str, why: str, hint: str = "") -> PassError:
        """The error to raise when a pass cannot do its work safely: nothing will be written."""
        return PassError(f"{self.pass_name} refuses: {what}", where=self.where(item), why=why, hint=hint)

    def types(self) -> inference.Types:
        """Element type and shape of every value, inferred by onnx from the operators alone (see `graphfix.inference`)."""
        return inference.infer(self.model)

    def progress(self, what: str, done: int, total: int) -> None:
        """Report progress of work that may take more than a second."""
        if self._progress is not None:
            self._progress(what, done, total)


class Pass:
    """Base class of every pass. Subclasses set ``name`` and ``summary``, and implement `run`.

    Attributes:
        name: The name on the command line; the file is named the same, with underscores.
        summary: One line, at most 80 characters.
        Options: A frozen dataclass; its fields are the options, typed by their annotations (bool, int, float, str).
        after: Names of passes that, when both are in a pipeline, must come earlier. Checked, never silently reordered.
        suffix: The option that a number behind the name sets: with ``suffix = "target"``, ``opset23`` is ``opset{target=23}``.
        reads_weights: Whether `run` reads the values of large initializers.
        changes_interface: Whether `run` may rename or retype graph inputs and outputs.
    """

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    Options: ClassVar[type] = NoOptions
    after: ClassVar[tuple[str, ...]] = ()
    suffix: ClassVar[str] = ""
    reads_weights: ClassVar[bool] = False
    changes_interface: ClassVar[bool] = False

    def __init__(self, options: Any = None) -> None:
        self.options = options if options is not None else self.Options()

    def run(self, model: ir.Model, ctx: Context) -> Iterable[Change]:
        """Edit ``model`` in place; yield or return what was changed."""
        raise PassError(f"pass {self.name!r} does not implement run")

    @classmethod
    def option_fields(cls) -> Iterator[dataclasses.Field[Any]]:
        """The fields of ``Options``."""
        yield from dataclasses.fields(cls.Options)

    def __str__(self) -> str:
        given = [
            (f.name.replace("_", "-"), value)
            for f in dataclasses.fields(self.options)
            if (value := getattr(self.options, f.name)) != _default(f) and not f.metadata.get("free") and f.name != self.suffix
        ]
        given += [
            item
            for f in dataclasses.fields(self.options)
            if f.metadata.get("free")
            for item in sorted(getattr(self.options, f.name).items())
        ]
        text = ",".join(f"{key}={option_text(value)}" for key, value in given)
        name = f"{self.name}{getattr(self.options, self.suffix)}" if self.suffix else self.name
        return f"{name}{{{text}}}" if text else name


def _default(f: dataclasses.Field[Any]) -> Any:
    return f.default if f.default_factory is dataclasses.MISSING else f.default_factory()


def option_text(value: object) -> str:
    """A value as it is written in a pipeline's text."""
    return str(value).lower() if isinstance(value, bool) else str(value)
