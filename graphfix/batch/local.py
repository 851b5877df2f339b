"""Jobs in processes of this machine.

Each worker is a pool of one process, so a worker that dies takes down the one job that killed it, and that job is known. With one pool
for all, every job in flight would be suspect.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from types import FrameType

from graphfix.batch import jobs
from graphfix.batch.executor import Ended
from graphfix.batch.jobs import Answer, Job

GRACE = 5.0  # seconds for a worker to end what it started
# First asked, so that it ends what it started, then ended. Windows knows only ends, but there Ctrl-C reaches every process of a console.
ENDINGS = ("SIGTERM",) if os.name == "nt" else ("SIGINT", "SIGKILL")


class Local:
    """``workers`` processes, started by spawn.

    Args:
        workers: How many jobs run side by side; by default one for each core that this process may use.
    """

    def __init__(self, workers: int = 0) -> None:
        count = workers or cores()
        self.name = f"{count} process{'es' if count > 1 else ''}"
        self._slots = [_Slot() for _ in range(count)]
        self._running: dict[Future[Answer], tuple[_Slot, Job]] = {}

    def pids(self) -> dict[int, Job]:
        """The processes at work, and what each of them does."""
        return {slot.pid(): job for slot, job in self._running.values()}

    def free(self) -> bool:
        return len(self._running) < len(self._slots)

    def submit(self, job: Job) -> None:
        busy = {id(slot) for slot, _ in self._running.values()}
        slot = next(slot for slot in self._slots if id(slot) not in busy)
        self._running[slot.submit(job)] = (slot, job)

    def wait(self) -> list[Ended]:
        done, _ = wait(self._running, timeout=1.0, return_when=FIRST_COMPLETED)
        ended = []
        for future in done:
            slot, job = self._running.pop(future)
            error = future.exception()
            if error is None:
                ended.append(Ended(job, future.result()))
                continue
            slot.renew()
            how = "the worker process ended abruptly" if isinstance(error, BrokenProcessPool) else f"{type(error).__name__}: {error}"
            ended.append(Ended(job, None, how))
        return ended

    def close(self, *, now: bool) -> None:
        if now:
            for how in ENDINGS:
                self._end(how)
                wait(self._running, timeout=GRACE)
        for slot in self._slots:
            slot.pool.shutdown(wait=True, cancel_futures=True)

    def _end(self, how: str) -> None:
        for future, (slot, _) in self._running.items():
            if not future.done():
                with contextlib.suppress(OSError):
                    os.kill(slot.pid(), getattr(signal, how))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Slot:
    """One worker: a pool of one process, renewed when it dies."""

    def __init__(self) -> None:
        self._make()

    def _make(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(1, mp_context=context, initializer=_begin)
        self._pid: Future[int] | None = None

    def renew(self) -> None:
        self.pool.shutdown(wait=False)
        self._make()

    def pid(self) -> int:
        assert self._pid is not None
        return self._pid.result()

    def submit(self, job: Job) -> Future[Answer]:
        try:
            return self._submit(job)
        except BrokenProcessPool:  # it died while it had nothing to do
            self.renew()
            return self._submit(job)

    def _submit(self, job: Job) -> Future[Answer]:
        if self._pid is None:
            self._pid = self.pool.submit(os.getpid)
        return self.pool.submit(_work, job)


# In the worker.

_at_work = False


def _begin() -> None:
    signal.signal(signal.SIGINT, _interrupt)
    threading.Thread(target=_outlive_nobody, daemon=True).start()


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    """Ctrl-C reaches every process of a terminal. An idle worker is told to stop by the one that started it."""
    if _at_work:
        raise KeyboardInterrupt


def _outlive_nobody() -> None:
    """When the process that started this one is gone, however it went, end the job, what the job started, and this process."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    if sys.platform != "win32" and _at_work:
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)
        time.sleep(GRACE)
    os._exit(1)


def _work(job: Job) -> Answer:
    global _at_work
    _at_work = True
    try:
        return jobs.run(job)
    finally:
        _at_work = False
