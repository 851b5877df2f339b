"""One writer in a folder at a time, so that what a save reuses or removes is not another save's.

The lock belongs to the process: the system lifts it however the process ends. POSIX locks the folder itself and leaves no file; Windows
cannot, and gets a file of its own in the folder, which goes with the lock.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from graphfix.errors import UnavailableError

PATIENCE = 600.0  # seconds: a copy of 24 GB takes some minutes
NAME = ".graphfix.lock"  # Windows only


@contextlib.contextmanager
def only_writer(folder: Path, waiting: Callable[[], None] | None = None, patience: float = PATIENCE) -> Iterator[bool]:
    """Wait until no other graphfix writes into ``folder``, and keep others waiting meanwhile.

    Args:
        folder: The folder.
        waiting: Called once if there is somebody to wait for.
        patience: Seconds to wait at most; 0 refuses at once.

    Yields:
        Whether the folder is locked; False on file systems that have no locks, where the last writer wins.

    Raises:
        UnavailableError: Somebody wrote for longer than ``patience``.
    """
    descriptor = _open(folder)
    try:
        yield _locked(descriptor, folder, waiting, patience)
    finally:
        _close(descriptor, folder)


def _locked(descriptor: int, folder: Path, waiting: Callable[[], None] | None, patience: float) -> bool:
    end = time.monotonic() + patience
    while True:
        try:
            _lock(descriptor)
        except (BlockingIOError, PermissionError):
            if waiting is not None:
                waiting()
                waiting = None
        except OSError:
            return False
        else:
            return True
        if time.monotonic() >= end:
            raise UnavailableError(
                f"another graphfix is writing into {folder.name or folder}",
                why=f"it did not finish within {patience:g} s; nothing was written" if patience else "nothing was written",
                hint="wait for it, or end it, and run this again",
            )
        time.sleep(0.05)


if sys.platform == "win32":
    import msvcrt

    def _open(folder: Path) -> int:
        return os.open(folder / NAME, os.O_CREAT | os.O_RDWR)

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _close(descriptor: int, folder: Path) -> None:
        os.close(descriptor)
        with contextlib.suppress(OSError):  # another one waits with it open
            (folder / NAME).unlink()

else:
    import fcntl

    def _open(folder: Path) -> int:
        return os.open(folder, os.O_RDONLY)

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _close(descriptor: int, folder: Path) -> None:
        del folder
        os.close(descriptor)
