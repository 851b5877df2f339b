"""The models that a manifest names: found, called something, and identified without reading a weight."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graphfix import io
from graphfix.batch.manifest import Manifest, ModelEntry
from graphfix.errors import GraphfixError, UsageError

MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Subject:
    """One model of the matrix.

    Attributes:
        name: What it is called; unique, also where upper and lower case are one. It becomes a folder.
        path: Absolute.
        sha256: Of the file itself, the header.
        data: Its external data as (name, bytes, time of the last change in ns): reading it all would take minutes at a hundred gigabytes.
        inputs: Names of its inputs and of their dynamic axes.
        problem: Why it cannot be read; empty if it can.
    """

    name: str
    path: Path
    sha256: str
    data: tuple[tuple[str, int, int], ...] = ()
    inputs: frozenset[str] = frozenset()
    problem: str = ""


def find(manifest: Manifest) -> tuple[Subject, ...]:
    """Every model, in the manifest's order, those of a glob by name.

    Raises:
        UsageError: A path leads nowhere, a glob fits no model, or two models would have one name.
    """
    found: dict[str, Path] = {}
    taken: dict[str, str] = {}
    for i, entry in enumerate(manifest.models):
        for name, path in _named(manifest, entry, f"models[{i}]"):
            if found.get(name) == path:
                continue  # two globs fit one file
            if name.casefold() in taken:
                raise UsageError(
                    f"{manifest.path.name}: two models are called {name}",
                    where=f"{found[taken[name.casefold()]]} and {path}",
                    hint=f'give one a name of its own: {{ path = "{_relative(path, manifest)}", name = "..." }}',
                )
            taken[name.casefold()] = name
            found[name] = path
    return tuple(_identify(name, path) for name, path in found.items())


def _named(manifest: Manifest, entry: ModelEntry, key: str) -> Iterator[tuple[str, Path]]:
    base = manifest.path.parent
    if (base / entry.path).is_file() or not MAGIC & set(entry.path):
        path = (base / entry.path).resolve()
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is not there"
            hint = f'models = ["{entry.path}/*.onnx"]' if path.is_dir() else "paths are relative to the manifest"
            raise UsageError(f"{manifest.path.name}: {key} names {entry.path}, which {what}", hint=hint)
        yield entry.name or path.stem, path
        return
    paths = [(base / text) for text in glob.glob(entry.path, root_dir=base, recursive=True)]  # noqa: PTH207 - Path.glob takes no absolute ones
    # A second run must not take the first one's models for more to do.
    paths = [p.resolve() for p in paths if p.suffix == ".onnx" and p.is_file() and manifest.output not in p.resolve().parents]
    if not paths:
        raise UsageError(f"{manifest.path.name}: {key}: no .onnx file fits {entry.path}", hint=f"paths are relative to {base}")
    if entry.name and len(paths) > 1:
        raise UsageError(f"{manifest.path.name}: {key}: {len(paths)} files fit, for one name", hint="leave the name out")
    fixed = []
    for part in Path(entry.path).parts:
        if MAGIC & set(part):
            break
        fixed.append(part)
    root = base.joinpath(*fixed).resolve()
    for path in sorted(paths):
        # Below what the glob leaves open: exports/*.onnx gives stems, */transformer/model.onnx gives sd3/transformer/model.
        inside = path.relative_to(root) if root in path.parents else Path(path.name)
        yield entry.name or inside.with_suffix("").as_posix(), path


def _relative(path: Path, manifest: Manifest) -> str:
    base = manifest.path.parent
    return path.relative_to(base).as_posix() if base in path.parents else path.as_posix()


def _identify(name: str, path: Path) -> Subject:
    try:
        model = io.load(path)
    except Exception as error:  # noqa: BLE001 - one torn file, however it is torn, must not keep the others from being done
        told = str(error) if isinstance(error, GraphfixError) else f"cannot be read: {type(error).__name__}: {error}"
        try:
            digest = io.digest(path)
        except OSError:
            digest = ""
        return Subject(name, path, digest, problem=told.replace(str(path), "the file"))
    source: io.Source = model.meta[io.SOURCE]
    data = []
    for file in sorted(source.data_files):
        stat = (path.parent / file).stat()
        data.append((file, stat.st_size, stat.st_mtime_ns))
    inputs: set[str] = set()
    for value in model.graph.inputs:
        if value.name not in model.graph.initializers:
            inputs.add(str(value.name))
            inputs.update(str(d.value) for d in value.shape or () if not isinstance(d, int) and d.value)
    return Subject(name, path, source.sha256, tuple(data), frozenset(inputs))
