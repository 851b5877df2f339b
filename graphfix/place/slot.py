"""The one place in a pipeline's folder where models are swapped, so that a kill at any moment leaves the old one or the new one, whole.

In the component's folder lie, while a backbone is placed:

- ``model.onnx`` and its data ``model.<digest>.onnx_data``, named by content, so that no two models ever share a name;
- ``model.replaced.onnx``, what ``model.onnx`` was when the folder was exported: the same file under another name, its data untouched;
- ``.graphfix/place.json``, the journal: the digest of that header, and of each header that was put in its place with its data files.

The journal is written before anything else and names everything that will be made. Renaming over ``model.onnx`` is the only commit, in
both directions; which side of it a run stopped on is read from the digest of ``model.onnx``, and `Slot.settle` removes what the other side
would have needed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from graphfix.errors import ModelError
from graphfix.io.files import digest, mentioned, reflink, sync_folder, temporary, write_durably
from graphfix.place.folder import MODEL

KEPT = "model.replaced.onnx"
ROOM = ".graphfix"


@dataclass(frozen=True)
class Placed:
    """A header that was put in place, by its SHA-256, and the data files that came with it."""

    header: str
    data: tuple[str, ...]


@dataclass(frozen=True)
class Journal:
    """The header that the folder was exported with, and what was put in its place: one, or two while one replaces another."""

    original: str
    placed: tuple[Placed, ...]

    def text(self) -> str:
        """As it is stored."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @staticmethod
    def read(path: Path) -> Journal:
        """The journal at ``path``.

        Raises:
            ModelError: It is not one.
        """
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            return Journal(str(held["original"]), tuple(Placed(str(p["header"]), tuple(map(str, p["data"]))) for p in held["placed"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path} is not a journal of graphfix place", why=f"{type(error).__name__}: {error}") from error


class Slot:
    """``model.onnx`` in a component's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model, self.kept, self.room = folder / MODEL, folder / KEPT, folder / ROOM
        self.journal, self.staging = self.room / "place.json", self.room / "staging"

    def original(self) -> Path:
        """The header that the folder was exported with, wherever it lies now."""
        return self.kept if self.journal.exists() and self.kept.exists() else self.model

    def settle(self) -> Journal | None:
        """Finish or take back what an interrupted run left behind.

        Returns:
            The journal of what is placed; None where ``model.onnx`` is the one that the folder was exported with.

        Raises:
            ModelError: ``model.onnx`` is neither that one nor one that was placed, or the one to go back to is gone.
        """
        shutil.rmtree(self.staging, ignore_errors=True)
        for draft in self.room.glob("*.tmp-*"):
            draft.unlink()
        if not self.journal.exists():
            self._leave()
            if self.kept.exists():
                why = "graphfix did not put it there, and needs the name"
                raise ModelError(f"{self.kept} is in the way", why=why, hint="move it away")
            return None
        journal = Journal.read(self.journal)
        current = digest(self.model) if self.model.exists() else ""
        if current == journal.original:
            self.kept.unlink(missing_ok=True)
            self._forget(journal.placed)
            self.journal.unlink()
            self._leave()
            return None
        live = [placed for placed in journal.placed if placed.header == current]
        if not live or not self.kept.exists():
            raise self._torn(bool(live))
        if len(journal.placed) > 1:
            self._forget([placed for placed in journal.placed if placed not in live])
            journal = Journal(journal.original, tuple(live))
            self._write(journal)
        return journal

    def _torn(self, live: bool) -> ModelError:
        if live:
            hint = f"remove {self.room} to keep the present model for good"
            return ModelError(f"{self.kept} is gone", why="there is nothing to go back to", hint=hint)
        what = f"{self.model} is {'not what was placed there' if self.model.exists() else 'gone'}"
        return ModelError(what, why="to go on would lose it", hint=f"move {MODEL} away if it is there, then graphfix place --undo")

    def keep(self) -> None:
        """Let the present ``model.onnx`` have a second name, under which it stays when the first is given to another file."""
        if self.kept.exists():  # and is what the journal calls the original: `settle` has seen to that
            return
        if self.model.is_symlink():
            self.kept.symlink_to(self.model.readlink())
            return
        try:
            os.link(self.model, self.kept)
        except OSError:  # a file system without hard links
            draft = self.staging / KEPT
            draft.touch()
            if not reflink(self.model, draft):
                shutil.copy2(self.model, draft)
            os.replace(draft, self.kept)  # noqa: PTH105

    def put(self, header: bytes, data: dict[str, str]) -> None:
        """Make ``header`` the folder's ``model.onnx``.

        Args:
            header: The model; its external data has the names that ``data`` gives.
            data: From the names of files in ``staging`` to those that they get in the folder.
        """
        earlier = Journal.read(self.journal) if self.journal.exists() else Journal(digest(self.model), ())
        new = Placed(hashlib.sha256(header).hexdigest(), tuple(dict.fromkeys(data.values())))
        self._write(Journal(earlier.original, (*earlier.placed, new)))
        self.keep()
        for draft, name in data.items():
            os.replace(self.staging / draft, self.folder / name)  # noqa: PTH105
        draft_header = self.staging / MODEL
        write_durably(draft_header, header)
        sync_folder(self.folder)
        os.replace(draft_header, self.model)  # noqa: PTH105 - the commit
        sync_folder(self.folder)
        self.settle()

    def restore(self) -> None:
        """Make what the folder was exported with its ``model.onnx`` again, and remove everything that came with another."""
        os.replace(self.kept, self.model)  # noqa: PTH105 - the commit
        sync_folder(self.folder)
        self.settle()

    def _write(self, journal: Journal) -> None:
        with temporary(self.journal) as draft:
            write_durably(draft, journal.text().encode())
        sync_folder(self.room)

    def _forget(self, placed: tuple[Placed, ...] | list[Placed]) -> None:
        for name in dict.fromkeys(name for entry in placed for name in entry.data):
            if not mentioned(name, self.folder):
                (self.folder / name).unlink(missing_ok=True)

    def _leave(self) -> None:
        with contextlib.suppress(OSError):  # somebody's files are in it
            self.room.rmdir()
