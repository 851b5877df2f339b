"""What runs jobs: the form that the local processes and a Ray cluster share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from graphfix.batch.jobs import Answer, Job


@dataclass(frozen=True)
class Ended:
    """A job that is no longer running: it has an answer, or its worker died, and ``death`` says how."""

    job: Job
    answer: Answer | None
    death: str = ""


class Executor(Protocol):
    """Runs jobs somewhere. It neither retries nor keeps anything: that is one policy for all of them, in `graphfix.batch.run`."""

    name: str  # for people: "2 processes"

    def free(self) -> bool:
        """Whether it takes another job now."""
        ...

    def submit(self, job: Job) -> None:
        """Start a job, or queue it."""
        ...

    def wait(self) -> list[Ended]:
        """Wait for at most a second; what has ended by then."""
        ...

    def close(self, *, now: bool) -> None:
        """Let go of the workers; ``now``: end what is running, and what it started."""
        ...
