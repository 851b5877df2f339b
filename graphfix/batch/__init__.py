"""Many models by pipelines by targets by shapes: a manifest becomes jobs, jobs become one matrix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphfix import io
from graphfix.batch import page
from graphfix.batch.book import book, exit_code
from graphfix.batch.executor import Executor
from graphfix.batch.jobs import Job
from graphfix.batch.manifest import read
from graphfix.batch.matrix import Plan, plan
from graphfix.batch.run import Event, pending, run
from graphfix.batch.store import Store
from graphfix.io.lock import only_writer
from graphfix.report.templates import environment

__all__ = ["carry_out", "exit_code", "outstanding"]


def carry_out(
    manifest: str | Path,
    executor: Callable[[], Executor],
    rerun: str = "",
    report: Callable[[Event], None] | None = None,
) -> tuple[dict[str, Any], Path]:
    """Do what a manifest says, and write ``batch.json`` and ``batch.html`` into its output folder.

    Args:
        manifest: A TOML file; see `graphfix.batch.manifest`.
        executor: Makes what runs the jobs; called once it is known that there is nothing wrong with the manifest.
        rerun: ``failed`` asks again what was not ok, ``all`` everything.
        report: Called with each event.

    Returns:
        What is in ``batch.json``, and the path of the page.

    Raises:
        UsageError: The manifest is wrong.
        UnavailableError: jinja2 or Ray is not there, the output folder cannot be written, or another run is at work in it.
    """
    environment()  # what the end needs is looked for before hours of work
    asked = plan(read(manifest))
    store = Store(asked.manifest.output)
    store.prepare()
    with only_writer(store.folder, patience=0):
        made = executor()
        try:
            done = run(asked, store, made, rerun, report)
        except BaseException:
            made.close(now=True)
            raise
        made.close(now=False)
        told = book(asked, done)
        io.write_text(store.folder / "batch.json", json.dumps(told, indent=1) + "\n")
        io.write_text(store.folder / "batch.html", page.render(told))
    return told, store.folder / "batch.html"


def outstanding(manifest: str | Path, rerun: str = "") -> tuple[Plan, list[Job]]:
    """The plan of a manifest, and those of its jobs that are not answered yet. Nothing is written.

    Raises:
        UsageError: The manifest is wrong.
    """
    asked = plan(read(manifest))
    return asked, pending(asked, Store(asked.manifest.output), rerun)[1]
