"""How text reaches a person: tables that read the same in a log, colour and progress only on a terminal."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from graphfix.pipeline import Progress


# Names come from files: control characters and marks that turn the direction of text would act on the terminal that shows them, and a line
# that begins with :: or ##[ is a command to a CI runner.
_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_COMMAND = re.compile(r"^(\s*)(?=::|##\[)", re.MULTILINE)


def plain(text: object) -> str:
    """Text that shows what it holds and does nothing else."""
    shown = _ACTING.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), str(text))
    return _COMMAND.sub(r"\1\\", shown)


def console(*, stderr: bool = False) -> Console:
    """A console that never wraps or colours what goes into a file or a pipe."""
    from rich.console import Console

    class Plain(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*(plain(item) if isinstance(item, str) else item for item in objects), **options)

    stream = sys.stderr if stderr else sys.stdout
    return Plain(stderr=stderr, highlight=False, soft_wrap=True, width=None if stream.isatty() else 1000)


def table(*columns: str, numbers: tuple[int, ...] = ()) -> Table:
    """A plain table; the columns in ``numbers`` are aligned to the right."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        made.add_column(column, justify="right" if i in numbers else "left", no_wrap=True, overflow="ellipsis" if i else "fold")
    return made


def add_rows(made: Table, rows: Iterable[Iterable[object]]) -> Table:
    """Add rows of plain text (brackets are shapes here, not markup); whole numbers get thousands separators."""
    from rich.text import Text

    for row in rows:
        made.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else plain(cell).replace("\n", "\\n")) for cell in row))
    return made


@contextlib.contextmanager
def progress(stream: TextIO | None = None) -> Iterator[Progress | None]:
    """A progress bar on stderr (or another stream), on a terminal only, shown once something takes longer than a moment."""
    if not (stream or sys.stderr).isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    shown = Console(file=stream, highlight=False, soft_wrap=True) if stream is not None else console(stderr=True)
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=shown, transient=True) as bar:
        task = bar.add_task("loading", total=None)

        def report(name: str, done: int, total: int) -> None:
            bar.update(task, description=name or "saving", completed=done, total=total or None)

        yield report
