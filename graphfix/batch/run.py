"""Run a plan: what is answered already is not asked again, a job whose worker dies is tried again, and every answer is kept at once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from graphfix.batch.executor import Executor
from graphfix.batch.jobs import CRASHED, OK, Answer, Job
from graphfix.batch.matrix import Plan
from graphfix.batch.store import Store

ATTEMPTS = 3  # a job that has cost this many workers their lives is not tried again
RERUNS = ("failed", "all")


@dataclass(frozen=True)
class Death:
    """A worker that died at a job, and which attempt it was."""

    job: str
    attempt: int
    how: str


@dataclass
class Run:
    """What was done.

    Attributes:
        answers: By key.
        resumed: How many of them an earlier run had found.
        skipped: Jobs that were not run because the passes before them did not succeed.
        deaths: Workers that died.
        seconds: From start to end.
        executor: What ran the jobs.
    """

    executor: str
    answers: dict[str, Answer] = field(default_factory=dict)
    resumed: int = 0
    skipped: int = 0
    deaths: list[Death] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Event:
    """Something happened to a job: it ``started``, ``ended`` with an answer, or its worker ``died``."""

    what: str
    job: Job
    done: int
    total: int
    answer: Answer | None = None
    how: str = ""


def pending(plan: Plan, store: Store, rerun: str = "") -> tuple[dict[str, Answer], list[Job]]:
    """What is answered already, and what is left to do.

    Args:
        plan: The plan.
        store: Where answers are kept.
        rerun: ``failed`` asks again what was not ok, ``all`` everything.
    """
    answers: dict[str, Answer] = {}
    left = []
    for job in plan.jobs:
        answer = None if rerun == "all" else store.read(job)
        if answer is None or (rerun == "failed" and answer.outcome != OK):
            left.append(job)
        else:
            answers[job.key] = answer
    return answers, left


def run(plan: Plan, store: Store, executor: Executor, rerun: str = "", report: Callable[[Event], None] | None = None) -> Run:
    """Run what is left of a plan. Whoever made the executor closes it.

    A tier is started as soon as the passes it waits for are done; where they did not succeed it is not run.
    """
    began = time.perf_counter()
    tell = report or (lambda _: None)
    answers, left = pending(plan, store, rerun)
    made = Run(executor.name, answers, resumed=len(answers))
    total = len(left)
    ready: deque[Job] = deque()
    waiting: dict[str, list[Job]] = {}
    attempts: dict[str, int] = {}
    running = done = 0
    for job in left:
        need = plan.needs.get(job.key)
        if need is None or need in answers:
            ready.append(job)
        else:
            waiting.setdefault(need, []).append(job)
    # Where the passes were answered earlier and not well, what waits for them never starts.
    able = deque(job for job in ready if (need := plan.needs.get(job.key)) is None or answers[need].outcome == OK)
    made.skipped = len(ready) - len(able)
    total -= made.skipped
    ready = able
    while ready or running:
        while ready and executor.free():
            job = ready.popleft()
            executor.submit(job)
            running += 1
            tell(Event("started", job, done, total))
        for ended in executor.wait():
            running -= 1
            job, answer = ended.job, ended.answer
            if answer is None:
                attempts[job.key] = attempts.get(job.key, 0) + 1
                made.deaths.append(Death(str(job), attempts[job.key], ended.death))
                tell(Event("died", job, done, total, how=ended.death))
                if attempts[job.key] < ATTEMPTS:
                    ready.append(job)
                    continue
                answer = Answer(CRASHED, f"its worker died {ATTEMPTS} times, the last time so: {ended.death}")
            store.write(job, answer)
            answers[job.key] = answer
            done += 1
            after = waiting.pop(job.key, [])
            if answer.outcome == OK:
                ready.extendleft(reversed(after))  # model by model, so that a run that is stopped has whole rows
            else:
                made.skipped += len(after)
                total -= len(after)
            tell(Event("ended", job, done, total, answer))
    made.seconds = time.perf_counter() - began
    return made
