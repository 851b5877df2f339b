"""One tree of errors. Every message says what, where, why, and what to type next.

The exit codes are the command line's: 1 a model that cannot be fixed, 2 wrong usage, 3 an environment that cannot do what was asked.
The root derives from RuntimeError because that is what onnx's own converters raise and what callers of them catch.
"""

from __future__ import annotations

from collections.abc import Iterable


class GraphfixError(RuntimeError):
    """Base of everything that graphfix raises on purpose.

    Args:
        what: One sentence: what went wrong.
        where: The node, operator or file it concerns.
        why: The cause, if it is not in the sentence already.
        hint: What to type or change next.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.why, self.hint = what, where, why, hint

    def __str__(self) -> str:
        rows = (("", self.what), ("where: ", self.where), ("why:   ", self.why), ("next:  ", self.hint))
        return "\n".join(f"{head}{text}" for head, text in rows if text)


class UsageError(GraphfixError):
    """The command, option, pass list or path was wrong."""

    exit_code = 2


class ModelError(GraphfixError):
    """The file is not a model that can be read, or not one that can be fixed."""


class PassError(GraphfixError):
    """A pass refused a model, or left one behind that does not hold together."""


class UnavailableError(GraphfixError):
    """This machine cannot do what was asked: no space, no package, no GPU."""

    exit_code = 3


def nearest(name: str, known: Iterable[str], otherwise: str = "", cutoff: float = 0.6) -> str:
    """The hint for a name that is none.

    Args:
        name: What was typed.
        known: The names that there are.
        otherwise: What to say where none is close; every name by default.
        cutoff: How close is close, from 0 to 1.
    """
    from difflib import get_close_matches

    names = list(known)
    close = get_close_matches(name, names, 1, cutoff)
    return f"did you mean {close[0]}?" if close else otherwise or f"one of {', '.join(names)}"
