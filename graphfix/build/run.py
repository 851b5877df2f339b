"""The run: stage after stage, each skipped when what it reads, what is asked of it and what it wrote are as they were."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphfix import io
from graphfix.build.digests import Digests, key_of
from graphfix.build.recipe import Recipe
from graphfix.build.stages import STAGES, Stage
from graphfix.pipeline import Progress

DONE, SKIPPED, FAILED = "done", "unchanged", "failed"
STATE = ".graphfix-build.json"
SCHEMA = 1


@dataclass(frozen=True)
class Outcome:
    """What became of a stage: done, unchanged or failed."""

    stage: str
    status: str
    message: str
    seconds: float


@dataclass
class Built:
    """What `build` did, stage by stage; a failed stage is the last."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every stage was done or unchanged."""
        return all(outcome.status != FAILED for outcome in self.outcomes)


def build(recipe: Recipe, progress: Progress | None = None, tell: Callable[[Outcome], None] | None = None, *, fresh: bool = False) -> Built:
    """Carry out a recipe.

    Args:
        recipe: What to build.
        progress: Called as by the stages themselves.
        tell: Called when a stage is over.
        fresh: Do every stage again.

    Raises:
        GraphfixError: A stage cannot be done; stages before it stay done.
    """
    io.make_folder(recipe.output)
    state, made = _State.load(recipe.output / STATE), Built()
    for stage in _wanted(recipe):
        began = time.perf_counter()
        key = state.key(stage, recipe)
        if not fresh and state.holds(stage, key, recipe):
            outcome = Outcome(stage.name, SKIPPED, state.done[stage.name]["message"], time.perf_counter() - began)
        else:
            state.forget(stage)
            message, good = stage.run(recipe, progress)
            outcome = Outcome(stage.name, DONE if good else FAILED, message, time.perf_counter() - began)
            if good:
                state.remember(stage, key, recipe, message)
        made.outcomes.append(outcome)
        if tell is not None:
            tell(outcome)
        if outcome.status == FAILED:
            break
    return made


def _wanted(recipe: Recipe) -> Iterator[Stage]:
    return (stage for stage in STAGES if getattr(recipe, stage.name) is not None)


@dataclass
class _State:
    """What earlier runs did, kept beside the results; a stage counts as done only once its line is written."""

    path: Path
    digests: Digests
    done: dict[str, dict[str, Any]]

    @classmethod
    def load(cls, path: Path) -> _State:
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            if held["schema"] == SCHEMA:
                return cls(path, Digests(dict(held["files"])), dict(held["done"]))
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing is known, so everything is done again
        return cls(path, Digests(), {})

    def key(self, stage: Stage, recipe: Recipe) -> str:
        reads = [self.digests.of(path) for path in stage.reads(recipe)]
        return key_of([stage.name, stage.options(recipe), reads])

    def holds(self, stage: Stage, key: str, recipe: Recipe) -> bool:
        held = self.done.get(stage.name)
        return held is not None and held.get("key") == key and held.get("wrote") == self._wrote(stage, recipe)

    def _wrote(self, stage: Stage, recipe: Recipe) -> list[str]:
        return [self.digests.of(path) for path in stage.writes(recipe)]

    def forget(self, stage: Stage) -> None:
        if self.done.pop(stage.name, None) is not None:
            self._save()

    def remember(self, stage: Stage, key: str, recipe: Recipe, message: str) -> None:
        self.done[stage.name] = {"key": key, "wrote": self._wrote(stage, recipe), "message": message}
        self._save()

    def _save(self) -> None:
        state = {"schema": SCHEMA, "done": self.done, "files": self.digests.known}
        io.write_text(self.path, json.dumps(state, indent=1) + "\n")
