"""The same jobs on a Ray cluster of two nodes, one of its workers killed midway."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")
if sys.platform != "linux":
    pytest.skip("finds the cluster's workers through /proc", allow_module_level=True)

from graphfix.batch import carry_out  # noqa: E402
from graphfix.batch.ray_executor import Ray  # noqa: E402

MANIFEST = """
models = ["*.onnx"]
targets = ["sm89", "sm120"]
tiers = ["check", "compile"]
"""


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes with a core each, on this machine."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def workers(cluster):
    """The cluster's own workers that are at a job, by process id."""
    raylets = {info.process.pid for node in cluster.list_all_nodes() for info in node.all_processes["raylet"]}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_text().replace("\0", " ")
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            continue
        # While at a task a worker is titled after it: its stage here.
        if parent in raylets and title.startswith("ray::") and ("check" in title or "compile" in title):
            found.append(int(folder.name))
    return found


def test_a_matrix_on_two_nodes_with_a_worker_killed_midway(cluster, fleet, serial, essence, again):
    manifest = fleet(MANIFEST, "a", "b", "sd3_nvfp4_20")
    undisturbed = essence(serial(manifest, workers=2))
    again()
    killed = []

    def kill_once(event):
        if event.what == "ended" and event.done >= event.total // 3 and not killed:
            for pid in workers(cluster)[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    told, _ = carry_out(manifest, lambda: Ray(cluster.address), report=kill_once)
    assert killed
    assert essence(told) == undisturbed
    assert told["run"]["executor"] == "Ray, 2 nodes, 2 CPUs"
    (death,) = told["run"]["deaths"]
    assert death["attempt"] == 1
    assert "WorkerCrashedError" in death["how"]
    # What one executor answered holds for the other.
    assert serial(manifest)["run"]["resumed"] == told["run"]["jobs"]


def test_no_cluster_is_exit_3_with_what_to_type(fleet, tmp_path):
    fleet(MANIFEST, "a")
    for address in ("127.0.0.1:1", "nowhere"):
        command = [sys.executable, "-m", "graphfix", "batch", "fleet.toml", "--ray", address]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 3
        assert f"no Ray cluster at '{address}'" in done.stderr
        assert "ray start --head" in done.stderr
