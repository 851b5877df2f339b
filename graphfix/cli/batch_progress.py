"""A batch's progress on stderr: a table that stands still on a terminal, a line for each job in a log."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from graphfix.cli import terminal

if TYPE_CHECKING:
    from graphfix.batch.run import Event

IN_HAND = "in hand"  # started, or queued on a cluster
LAST = 3  # jobs that ended last, in the table's foot


@contextlib.contextmanager
def shown() -> Iterator[Callable[[Event], None]]:
    """What to call with each event."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.live import Live

    board = _Board()
    with Live(get_renderable=board.table, console=terminal.console(stderr=True), refresh_per_second=4, transient=True):
        yield board.take


def _line(event: Event) -> None:
    if event.what == "started":
        return
    if event.what == "died":
        text = f"worker died: {event.how}; tried again unless it was the last time"
    else:
        assert event.answer is not None
        text = f"{event.answer.outcome}  {event.answer.seconds:.1f} s"
    width = len(str(event.total))
    print(f"[{event.done:{width}}/{event.total}] {event.job}  {text}", file=sys.stderr, flush=True)


class _Board:
    """Counts by stage; a matrix of any size fits a screen."""

    def __init__(self) -> None:
        self.stages: dict[tuple[int, str], Counter[str]] = {}
        self.last: list[str] = []
        self.head = "planning"

    def take(self, event: Event) -> None:
        from graphfix.batch.book import stage

        row = self.stages.setdefault(stage(event.job), Counter())
        self.head = f"{event.done:,} of {event.total:,}"
        if event.what == "started":
            row[IN_HAND] += 1
            return
        row[IN_HAND] -= 1
        if event.what == "died":
            row["died"] += 1
            self.last.append(f"worker died at {event.job}: {event.how}")
        else:
            assert event.answer is not None
            row[event.answer.outcome] += 1
            self.last.append(f"{event.answer.outcome}  {event.job}  {event.answer.seconds:.1f} s")
        self.last = self.last[-LAST:]

    def table(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        columns = [IN_HAND, *sorted({key for row in self.stages.values() for key in row} - {IN_HAND})]
        made = terminal.table(self.head, *columns, numbers=tuple(range(1, len(columns) + 1)))
        terminal.add_rows(made, ((name, *(row[c] or "" for c in columns)) for (_, name), row in sorted(self.stages.items())))
        return Group(made, *(Text(line, style="dim", overflow="ellipsis", no_wrap=True) for line in self.last))
