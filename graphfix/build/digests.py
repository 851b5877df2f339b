"""Digests of files and folders, and a memory of them: a file is read again only when its size or time changed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphfix import io


@dataclass
class Digests:
    """What is known of files from earlier runs.

    Attributes:
        known: For a file's absolute path: size, modification time in ns, and SHA-256.
    """

    known: dict[str, list[Any]] = field(default_factory=dict)

    def of(self, path: Path) -> str:
        """The digest of a file, or of all files of a folder with their names; of nothing for a path that does not exist."""
        made = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path] if path.is_file() else []:
            made.update(f"{file.relative_to(path).as_posix() if path.is_dir() else ''}\0{self._file(file)}\0".encode())
        return made.hexdigest()

    def _file(self, path: Path) -> str:
        found, key = path.stat(), str(path.resolve())
        held = self.known.get(key)
        if held is None or held[:2] != [found.st_size, found.st_mtime_ns]:
            held = self.known[key] = [found.st_size, found.st_mtime_ns, io.digest(path)]
        return str(held[2])


def key_of(parts: Any) -> str:
    """One digest for options, versions and digests together."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
