"""Jobs on a Ray cluster; the only module that imports ray.

Ray could retry tasks itself, but would not tell of it. A job whose worker or node dies comes back as an error instead, and is retried and
reported by the same rule as on this machine.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

from graphfix.batch import jobs
from graphfix.batch.executor import Ended
from graphfix.batch.jobs import CRASHED, UNAVAILABLE, Answer, Job
from graphfix.errors import UnavailableError

PATIENCE = 10.0  # seconds for a cluster's head to answer


class Ray:
    """An existing cluster, or one made for the occasion.

    Args:
        address: ``host:port`` of a cluster's head, ``auto`` for the one on this machine, ``local`` for one that lives as long as the batch.

    Raises:
        UnavailableError: Ray is not installed, or nothing answers at the address.
    """

    def __init__(self, address: str) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise UnavailableError("--ray needs Ray, which is not installed", hint='pip install "graphfix[ray]"') from error
        self._ray = ray
        self._started = not ray.is_initialized()
        if self._started:
            try:
                _answers(address)
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (OSError, OverflowError, ValueError, RuntimeError) as error:
                raise UnavailableError(
                    f"no Ray cluster at {address!r}",
                    why=str(error).splitlines()[0] if str(error) else type(error).__name__,
                    hint="ray start --head, then --ray auto; or --ray local for a cluster of this machine alone",
                ) from error
        nodes = [node for node in ray.nodes() if node["Alive"]]
        cpus = int(ray.cluster_resources().get("CPU", 0))
        self.name = f"Ray, {len(nodes)} node{'s' if len(nodes) > 1 else ''}, {cpus} CPU{'s' if cpus > 1 else ''}"
        self._task = ray.remote(num_cpus=1, max_retries=0)(jobs.run)
        self._running: dict[Any, Job] = {}

    def free(self) -> bool:
        return True  # Ray queues

    def submit(self, job: Job) -> None:
        self._running[self._task.options(name=str(job)).remote(job)] = job

    def wait(self) -> list[Ended]:
        waiting = list(self._running)
        if not waiting:
            return []
        first, _ = self._ray.wait(waiting, num_returns=1, timeout=1.0)
        done, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0) if first else ([], [])
        return [self._ended(ref) for ref in done]

    def _ended(self, ref: Any) -> Ended:
        job = self._running.pop(ref)
        errors = self._ray.exceptions
        try:
            return Ended(job, self._ray.get(ref))
        except errors.RayTaskError as error:
            # `jobs.run` answers for everything that happens in it, so this is its machine: graphfix is not there, or another one is.
            cause = str(error.cause or error).strip().splitlines()[-1]
            hint = "install the same graphfix on every machine of the cluster"
            return Ended(job, Answer(UNAVAILABLE, f"a machine of the cluster cannot run graphfix: {cause}\nnext:  {hint}"))
        except (errors.TaskUnschedulableError, errors.RuntimeEnvSetupError) as error:
            return Ended(job, Answer(CRASHED, f"{type(error).__name__}: {error}"))
        except errors.RayError as error:
            return Ended(job, None, f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")

    def close(self, *, now: bool) -> None:
        # Leaving ends what runs. Ray 2.60's own cancel takes this process down now and then, when a task ends at that moment.
        del now
        if self._started:
            self._ray.shutdown()


def _answers(address: str) -> None:
    """Knock before Ray does, which waits for minutes where nobody is.

    Raises:
        OSError: Nobody listens at ``host:port``.
    """
    host, colon, port = address.rpartition(":")
    if colon and "/" not in host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
