"""What torch, diffusers and ModelOpt print goes to a log: hundreds of lines, many from C++, and none says what to do."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from graphfix.io.files import make_folder


@contextlib.contextmanager
def captured(log: Path) -> Iterator[TextIO]:
    """Both standard streams go to ``log``, native writers included; yields a stream to where standard error went before."""
    make_folder(log.parent)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    with (
        log.open("w", encoding="utf-8", errors="replace") as file,
        os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace") as terminal,
    ):
        for number in kept:
            os.dup2(file.fileno(), number)
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield terminal
        finally:
            for number, original in kept.items():
                os.dup2(original, number)
                os.close(original)
