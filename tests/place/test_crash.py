"""A crash at any moment leaves the old model or the new one, whole, and the next run cleans up."""

import importlib.util
import shutil
import subprocess
import sys

import onnx
import pytest

from graphfix.place import place, undo
from tests.conftest import ROOT

# What changes a folder, as Python's audit events name it; "open" only where it writes.
CHANGES = {"os.rename", "os.link", "os.symlink", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.copyfile", "fcntl.ioctl"}
WRITING = ("w", "a", "x", "+")


@pytest.fixture
def exported(pipeline, denoiser):
    """A pipeline's folder whose backbone is eight nodes: checks take no time, and the disk sees the same."""
    folder = pipeline("sd3")
    for path in (folder / "transformer").glob("model.onnx*"):
        path.unlink()
    for path in denoiser("old/model.onnx", 0, "out_hidden_states").parent.iterdir():
        path.rename(folder / "transformer" / path.name)
    return folder


class Killed(BaseException):
    """Nothing after it reaches the disk: the hook raises it again at every further change."""


class Killer:
    """Stops the process, as far as the disk can tell, before the ``after``-th change; None lets it live."""

    def __init__(self):
        self.after, self.seen = None, 0
        sys.addaudithook(self.hook)  # hooks stay for good; without a number this one does nothing

    def hook(self, event, args):
        if self.after is None or not (event in CHANGES or (event == "open" and self.writes(args))):
            return
        self.seen += 1
        if self.seen > self.after:
            raise Killed

    @staticmethod
    def writes(args):
        _, mode, flags = args
        return any(c in mode for c in WRITING) if isinstance(mode, str) else bool(flags & 3)

    def run(self, after, function, *args):
        """Whether ``function`` got to its end."""
        self.after, self.seen = after, 0
        try:
            function(*args)
        except Killed:
            return False
        finally:
            self.after = None
        return True


KILLER = Killer()


def weights(path):
    """The header and every weight, as onnx loads them."""
    onnx.checker.check_model(path)
    return onnx.load(path).SerializeToString(deterministic=True)


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_a_crash_before_every_single_change_to_the_disk(exported, denoiser, bytes_of, tmp_path, monkeypatch, links):
    if not links:

        def refuse(*args, **kwargs):
            raise OSError("this file system has no hard links")

        monkeypatch.setattr("os.link", refuse)
    a, b = denoiser("a.onnx", 1), denoiser("b.onnx", 2, "latent")
    first, folder = tmp_path / "first", tmp_path / "folder"
    model, before = folder / "transformer" / "model.onnx", bytes_of(exported)
    shutil.copytree(exported, first)
    place(a, first)
    old, one = weights(exported / "transformer" / "model.onnx"), weights(first / "transformer" / "model.onnx")
    place(b, first)
    two = weights(first / "transformer" / "model.onnx")
    place(a, first)
    found = set()
    for start, what, args, allowed in (
        (exported, place, (a, folder), (old, one)),
        (first, place, (b, folder), (one, two)),
        (first, undo, (folder,), (one, old)),
    ):
        for next_place in (True, False) if links else (True,):
            done, after = False, 0
            while not done:
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(start, folder)
                done = KILLER.run(after, what, *args)
                after += 1
                left = weights(model)
                assert left in allowed, after
                found.add((what.__name__, allowed.index(left), done))
                if next_place:
                    assert place(b, folder).action in {"placed", "unchanged"}
                    assert weights(model) == two
                undo(folder)
                assert bytes_of(folder) == before
        assert after > 5
    # Each of them was stopped on both sides of its commit.
    assert found == {(name, side, done) for name in ("place", "undo") for side, done in ((0, False), (1, False), (1, True))}


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    spec = importlib.util.spec_from_file_location("fault_place", ROOT / "tools" / "fault_place.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_twenty_five_kills_at_random_moments(tool, exported, denoiser):
    found = tool.kill(exported, [denoiser("a.onnx", 1), denoiser("b.onnx", 2, "latent")], kills=25)
    assert sum(count for name, count in found.items() if name == "old" or name.endswith(".onnx")) == 25


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from graphfix.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the file size are POSIX")
@pytest.mark.parametrize("limit", [100, 60_000, 300_000])
def test_a_full_disk_leaves_the_folder_as_it_was(pipeline, fixed, bytes_of, limit):
    folder, backbone = pipeline("sd3"), fixed("sd3_int8_20")
    before = bytes_of(folder)
    command = [sys.executable, "-c", FULL, str(limit), "place", str(backbone), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
    assert bytes_of(folder) == before
