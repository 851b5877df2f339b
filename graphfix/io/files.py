"""Files that appear whole or not at all, copies that the kernel makes, and what to say when the disk refuses."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import mmap
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

from graphfix.errors import UnavailableError


def write_text(path: str | Path, text: str) -> None:
    """Write a report atomically.

    Raises:
        UnavailableError: The disk is full or may not be written.
    """
    path = Path(path)
    try:
        with temporary(path) as draft:
            draft.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        explain(error, path)


def make_folder(folder: Path) -> None:
    """Make a folder where there is none, and those above it.

    Raises:
        UnavailableError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"cannot make the folder {folder}", why=error.strerror or str(error), hint="choose another") from error


def explain(error: OSError, target: Path) -> NoReturn:
    if error.errno == errno.ENOSPC:
        raise UnavailableError(
            f"no space left to write {target.name}",
            where=str(target.parent),
            why="the disk is full; nothing was written",
            hint="free some space, or write beside the input so that its data file is shared",
        ) from error
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        raise UnavailableError(f"{target.parent} may not be written", why=str(error.strerror)) from error
    raise UnavailableError(f"cannot write {target}", why=str(error.strerror or error)) from error


@contextlib.contextmanager
def temporary(target: Path) -> Iterator[Path]:
    """A file beside ``target`` that becomes it on success and is gone on failure."""
    path = target.parent / f"{target.name}.tmp-{os.getpid()}-{os.urandom(4).hex()}"
    # Not tempfile: its files are private to the owner, and a model should get the permissions that any new file gets.
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield path
        os.replace(path, target)  # noqa: PTH105 - Path.replace is the same call; the name says what matters here
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def reflink(source: Path, target: Path, *, sync: bool = True) -> bool:
    """Let ``target`` share ``source``'s blocks (Btrfs, XFS, bcachefs); False where the file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    import fcntl

    ficlone = 0x40049409  # linux/fs.h
    try:
        with source.open("rb") as reading, target.open("r+b") as writing:
            fcntl.ioctl(writing.fileno(), ficlone, reading.fileno())
            if sync:
                os.fsync(writing.fileno())
    except OSError:
        return False
    return True


def copy_bytes(source: Path, target: Path, *, sync: bool = True) -> None:
    """Copy in the kernel where it can; with ``sync`` wait until the disk has it."""
    target.unlink(missing_ok=True)  # ext4 allocates a truncated file's blocks when it is closed, which takes as long as the copy
    shutil.copyfile(source, target)
    if sync:
        with target.open("r+b") as file:
            os.fsync(file.fileno())


def copy_range(source: Path, offset: int, size: int, target: BinaryIO) -> None:
    """Append ``size`` bytes of ``source`` from ``offset`` to an open file, a few megabytes at a time."""
    with source.open("rb") as reading:
        reading.seek(offset)
        while size > 0 and (block := reading.read(min(size, 1 << 22))):
            target.write(block)
            size -= len(block)


def equal(a: Path, b: Path) -> bool:
    if a.stat().st_size != b.stat().st_size:
        return False
    size = 1 << 22
    with a.open("rb") as left, b.open("rb") as right:
        while block := left.read(size):
            if block != right.read(size):
                return False
    return True


def digest(path: Path) -> str:
    """SHA-256 of a file, a few megabytes at a time."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            found.update(block)
    return found.hexdigest()


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def stamp(info: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is replaced or written to: device, inode, size, time of the last change in nanoseconds."""
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns


def sweep(target: Path) -> None:
    """Remove what a save of ``target`` left that was killed: its temporary files. Only for who holds the folder's lock."""
    pattern = re.compile(re.escape(target.name) + r"(_data(\.\w+)*)?\.tmp-\d+-[0-9a-f]{8}")
    with os.scandir(target.parent) as entries:
        stale = [entry.path for entry in entries if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)]
    for path in stale:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - a path from scandir


def mentioned(name: str, folder: Path, *, but: Path | None = None) -> bool:
    """Whether any model in ``folder`` (``but`` one) refers to a data file of this name: such a file is not ours alone to remove."""
    # In a protobuf a string stands behind its length, so a longer name that begins with this one does not match.
    text = name.encode()
    length = bytes([len(text)]) if len(text) < 128 else bytes([len(text) & 127 | 128, len(text) >> 7])
    for path in folder.glob("*.onnx"):
        if path.is_symlink():
            continue  # a model that lies elsewhere has its data there, and nothing outside this folder is read
        try:
            if not path.is_file() or not path.stat().st_size or (but is not None and path.samefile(but)):
                continue
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                if view.find(length + text) >= 0:
                    return True
        except FileNotFoundError:
            continue  # another process took it away
        except OSError:
            return True  # it may not be read, so it may be the one
    return False


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable where the platform has a call for it (Windows journals them itself)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
