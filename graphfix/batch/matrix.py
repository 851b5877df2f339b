"""From a manifest to cells and jobs: what is asked, once each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from graphfix import io, pipeline
from graphfix.batch import subjects
from graphfix.batch.jobs import APPLY, DEPENDS, Job, versions
from graphfix.batch.manifest import AXES, NONE, Manifest, Profile, Selection
from graphfix.batch.subjects import Subject
from graphfix.errors import UsageError
from graphfix.registry import Registry

Place = tuple[str, str, str, str]  # model, pipeline, shapes, target


@dataclass(frozen=True)
class Cell:
    """One place of the matrix, and the jobs whose answers make up its own: passes first, then the tiers. None for an unreadable model."""

    model: str
    pipeline: str
    shapes: str
    target: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Plan:
    """Everything that is to be done.

    Attributes:
        manifest: What was asked for.
        models: By name.
        cells: In the order of the manifest.
        jobs: Every job once, an `APPLY` before the tiers that look at what it makes.
        needs: For a tier's key, the key of the `APPLY` whose output it looks at.
    """

    manifest: Manifest
    models: dict[str, Subject]
    cells: tuple[Cell, ...]
    jobs: tuple[Job, ...]
    needs: dict[str, str]


def plan(manifest: Manifest) -> Plan:
    """Find the models, read the pipelines, and lay out cells and jobs.

    Raises:
        UsageError: A path, pipeline, pattern or shape of the manifest fits nothing, or there is nothing to do.
    """
    models = {subject.name: subject for subject in subjects.find(manifest)}
    texts = _pipelines(manifest)
    profiles = {profile.name: profile for profile in manifest.shapes}
    _check_profiles(manifest, models.values(), texts)
    places = _places(manifest, tuple(models))
    jobs: dict[str, Job] = {}
    needs: dict[str, str] = {}
    cells = []
    maker = _Maker(manifest)
    for model, line, shape, target in places:
        subject = models[model]
        if subject.problem:
            cells.append(Cell(model, line, shape, target, ()))
            continue
        own = []
        applied = maker.apply(subject, line, texts[line]) if texts[line] else None
        if applied is not None:
            own.append(jobs.setdefault(applied.key, applied))
        for stage in manifest.tiers:
            if stage == "compile" and target == NONE:
                continue
            made = maker.tier(subject, line, texts[line], stage, profiles[shape], target)
            own.append(jobs.setdefault(made.key, made))
            if applied is not None:
                needs[made.key] = applied.key
        if not own:
            raise UsageError(
                f"{manifest.path.name}: nothing is asked of {model} {line}",
                why="it has no passes, and without a target the compile tier is left out",
                hint='tiers = ["check", "load"]',
            )
        cells.append(Cell(model, line, shape, target, tuple(own)))
    return Plan(manifest, models, tuple(cells), tuple(jobs.values()), needs)


def _pipelines(manifest: Manifest) -> dict[str, str]:
    """The pipelines with named ones written out, so that a job's key shows what runs; every error comes before any work."""
    registry = Registry.load(manifest.plugins)
    found = {}
    for name, text in manifest.pipelines.items():
        try:
            found[name] = ",".join(map(str, pipeline.parse(text, registry))) if text.strip() else ""
        except UsageError as error:
            raise UsageError(f"{manifest.path.name}: pipelines.{name}: {error.what}", why=error.why, hint=error.hint) from error
    return found


def _check_profiles(manifest: Manifest, models: Iterable[Subject], texts: dict[str, str]) -> None:
    """Every name in a profile is an input or an axis of some model, or a pass is told it and may give it to one."""
    readable = [subject for subject in models if not subject.problem]
    known = frozenset[str]().union(*(subject.inputs for subject in readable))
    for profile in manifest.shapes:
        for name in (*profile.dims, *profile.shapes):
            if readable and name not in known and not any(name in text for text in texts.values()):
                raise UsageError(
                    f"{manifest.path.name}: shapes.{profile.name}.{name}: no model has such an input or axis",
                    why=f"there are {', '.join(sorted(known))}",
                )


def _places(manifest: Manifest, models: tuple[str, ...]) -> tuple[Place, ...]:
    axes = (models, tuple(manifest.pipelines), tuple(profile.name for profile in manifest.shapes), manifest.targets)
    order = ("model", "pipeline", "shapes", "target")
    known = dict(zip(order, axes, strict=True))
    places = dict.fromkeys((m, p, s, t) for m in axes[0] for p in axes[1] for s in axes[2] for t in axes[3])
    for row in manifest.exclude:
        gone = [place for place in places if all(_fits(v, row.patterns.get(a, ())) for a, v in zip(order, place, strict=True))]
        if not gone:
            _fits_nothing(manifest, row, known)
        for place in gone:
            del places[place]
    for row in manifest.include:
        patterns = {axis: row.patterns.get(axis, ()) for axis in AXES}
        rest = [tuple(v for v in known[axis] if _fits(v, patterns[axis])) for axis in order[:3]]
        targets = patterns["target"] or manifest.targets
        added = [(m, p, s, t) for m in rest[0] for p in rest[1] for s in rest[2] for t in targets]
        if not added:
            _fits_nothing(manifest, row, known)
        places.update(dict.fromkeys(added))
    if not places:
        raise UsageError(f"{manifest.path.name}: nothing is left of the matrix", why="exclude takes everything out")
    rank = {axis: {value: i for i, value in enumerate(values)} for axis, values in known.items()}
    beyond = len(manifest.targets)
    return tuple(sorted(places, key=lambda place: tuple(rank[axis].get(value, beyond) for axis, value in zip(order, place, strict=True))))


def _fits(value: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)


def _fits_nothing(manifest: Manifest, row: Selection, known: dict[str, tuple[str, ...]]) -> None:
    for axis, patterns in row.patterns.items():
        if not any(_fits(value, patterns) for value in known[axis]):
            shown = known[axis][:8]
            more = f" and {len(known[axis]) - len(shown)} more" if len(known[axis]) > len(shown) else ""
            hint = f"{axis} is one of {', '.join(shown)}{more}"
            raise UsageError(f"{manifest.path.name}: {row.key}.{axis} fits nothing: {', '.join(patterns)}", hint=hint)
    raise UsageError(f"{manifest.path.name}: {row.key} fits nothing that is still in the matrix", hint="take it out")


class _Maker:
    """Makes jobs; looks packages up and reads plugins once."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.versions = {stage: versions(stage) for stage in (APPLY, *manifest.tiers)}
        self.plugins = tuple(io.digest(path) for path in manifest.plugins)

    def _identity(self, subject: Subject) -> tuple[str, ...]:
        return (subject.sha256, json.dumps(subject.data), *self.plugins)

    def _output(self, subject: Subject, line: str, text: str) -> Path:
        """A folder for each output: what is written into one never concerns another."""
        if not text:
            return subject.path
        return self.manifest.output / "models" / line / subject.name / subject.path.name

    def apply(self, subject: Subject, line: str, text: str) -> Job:
        return Job(
            stage=APPLY,
            model=subject.name,
            pipeline=line,
            source=str(subject.path),
            output=str(self._output(subject, line, text)),
            passes=text,
            plugins=tuple(map(str, self.manifest.plugins)),
            timeout=self.manifest.timeout,
            versions=self.versions[APPLY],
            identity=self._identity(subject),
        )

    def tier(self, subject: Subject, line: str, text: str, stage: str, profile: Profile, target: str) -> Job:
        shaped = profile if "shapes" in DEPENDS[stage] else Profile("")
        keep = {name for name in (*shaped.dims, *shaped.shapes) if name in subject.inputs or name in text}
        return Job(
            stage=stage,
            model=subject.name,
            pipeline=line,
            shapes=shaped.name,
            target=target if "target" in DEPENDS[stage] else "",
            source=str(subject.path),
            output=str(self._output(subject, line, text)),
            passes=text,
            dims={k: v for k, v in shaped.dims.items() if k in keep},
            given={k: v for k, v in shaped.shapes.items() if k in keep},
            least={k: v for k, v in shaped.least.items() if k in keep},
            most={k: v for k, v in shaped.most.items() if k in keep},
            thresholds=dict(self.manifest.thresholds) if stage in {"numerics", "run"} else {},
            timeout=self.manifest.timeout,
            versions=self.versions[stage],
            identity=self._identity(subject),
        )
