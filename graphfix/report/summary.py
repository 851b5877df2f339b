"""Changes grouped for reading: thousands of records become a few lines, with the first places each was made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from graphfix.base import Change

REWRITE = "rewrite"  # the `Change.what` of a node whose form had to change

Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Group:
    """Changes that differ only in where they were made."""

    what: str
    before: str
    after: str
    why: str
    places: tuple[str, ...]


def group(changes: Iterable[Change]) -> list[Group]:
    """Changes by (what, before, after, why), in order of first appearance."""
    found: dict[Key, list[str]] = {}
    for change in changes:
        found.setdefault((change.what, change.before, change.after, change.why), []).append(change.where)
    return [Group(*key, tuple(places)) for key, places in found.items()]


def lines(groups: Iterable[Group], first: int = 3) -> Iterator[str]:
    """Each group as one line of count and edit, its reason, and the first places; each rewritten node as one line of its own."""
    for entry in groups:
        if entry.what == REWRITE:
            yield from (f"  {place}: {entry.before} -> {entry.after}, {entry.why}" for place in entry.places)
            continue
        yield f"  {len(entry.places):>6} x {entry.what}: {entry.before} -> {entry.after}"
        yield f"           {entry.why}"
        for place in entry.places[:first]:
            yield f"           at {place}"
        if len(entry.places) > first:
            yield f"           and {len(entry.places) - first} more"
