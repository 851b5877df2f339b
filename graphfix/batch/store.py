"""The output folder: an answer per file, so that what is done stays done.

batch.json  batch.html          the matrix
jobs/<key>.json                 answers
models/<pipeline>/<model>/      what passes made
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from graphfix import io
from graphfix.batch.jobs import APPLY, OK, OUTCOMES, SCHEMA, TIMED_OUT, Answer, Job


class Store:
    """The answers in one output folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs = folder / "jobs"

    def prepare(self) -> None:
        """Make the folder where it does not exist.

        Raises:
            UnavailableError: It cannot be made or written.
        """
        io.make_folder(self.jobs)

    def write(self, job: Job, answer: Answer) -> None:
        """Keep an answer; the file appears whole or not at all."""
        told = {"schema": SCHEMA, "job": str(job), "timeout": job.timeout, **dataclasses.asdict(answer)}
        io.write_text(self.jobs / f"{job.key}.json", json.dumps(told, indent=1) + "\n")

    def read(self, job: Job) -> Answer | None:
        """The answer to a job, if there is one that still holds: a file that somebody cut off or edited does not, nor does an `APPLY`
        whose output is no longer what it was, nor a time-out when there is more time now."""
        try:
            told = json.loads((self.jobs / f"{job.key}.json").read_text(encoding="utf-8"))
            answer = Answer(told["outcome"], told["message"], told["seconds"], tuple(told["checks"]), told["details"])
            if told["schema"] != SCHEMA or answer.outcome not in OUTCOMES:
                return None
            if answer.outcome == TIMED_OUT and told["timeout"] < job.timeout:
                return None
            if job.stage == APPLY and answer.outcome == OK and not _stands(Path(job.output), answer):
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return answer


def _stands(output: Path, answer: Answer) -> bool:
    """Whether a model is the one that was written: its header to the byte, its data by size."""
    if any((output.parent / name).stat().st_size != size for name, size in answer.details["files"]):
        return False
    return io.digest(output) == str(answer.details["sha256"])
