"""What goes wrong around a save: kills, disks, folders, names, other processes. (Full disks: test_cli.py; single crashes: test_io.py.)"""

import errno
import importlib.util
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import onnx
import pytest

import graphfix
from graphfix import io
from graphfix.io import lock, names
from graphfix.io.files import sweep

TOOL = Path(__file__).parents[2] / "tools" / "faults.py"


@pytest.fixture
def model(exports, tmp_path):
    (tmp_path / "in").mkdir()
    return exports["sd3_nvfp4_20"].copy_to(tmp_path / "in")


@pytest.fixture
def elsewhere(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.skipif(sys.platform == "win32", reason="the campaign forks")
def test_a_slice_of_the_kill_campaign():
    done = subprocess.run([sys.executable, str(TOOL), "--kills", "10"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines()[2:]]
    assert [row[1].split(":")[0].strip() for row in rows] == ["beside", "elsewhere", "folding", "in-place", "gather"]
    for row in rows:
        kills, old, new, torn = (int(cell) for cell in row[2:6])
        assert (old + new, torn) == (kills, 0)
        # --in-place on an export may leave new weights without a header: nobody can tell whose they are (docs/robustness.md).
        assert int(row[8]) == 0 or "in-place" in row[1]


def test_the_campaign_can_tell_a_torn_output(elsewhere):
    spec = importlib.util.spec_from_file_location("faults", TOOL)
    faults = importlib.util.module_from_spec(spec)
    sys.modules["faults"] = faults
    spec.loader.exec_module(faults)
    faults.weights(elsewhere / "m.onnx", 0, 16)
    good = faults.whole(elsewhere / "m.onnx")
    data = elsewhere / "m.onnx_data"
    blob = bytearray(data.read_bytes())
    blob[100] ^= 1
    data.write_bytes(blob)
    assert faults.whole(elsewhere / "m.onnx") != good
    data.write_bytes(blob[:-1])
    with pytest.raises(Exception, match="w3"):
        faults.whole(elsewhere / "m.onnx")


def test_what_a_killed_save_left_goes_with_the_next(model, elsewhere):
    for name in ("o.onnx.tmp-12-0123abcd", "o.onnx_data.tmp-12-0123abcd", "o.onnx_data.001.new.tmp-1-01234567"):
        (elsewhere / name).touch()
    mine = ["o.onnx.tmp-notes", "other.onnx.tmp-12-0123abcd"]
    for name in mine:
        (elsewhere / name).touch()
    graphfix.apply(model).save(elsewhere / "o.onnx")
    assert sorted(p.name for p in elsewhere.iterdir()) == sorted(["o.onnx", "o.onnx_data", *mine])
    sweep(elsewhere / "other.onnx")
    assert not (elsewhere / mine[1]).exists()


@pytest.mark.parametrize("what", ["header", "data"])
def test_an_input_that_changes_meanwhile_is_noticed(model, elsewhere, what):
    result = graphfix.apply(model)
    changed = model if what == "header" else model.with_name(model.name + "_data")
    fresh = changed.with_name("fresh")
    fresh.write_bytes(changed.read_bytes())
    fresh.replace(changed)
    target = model if what == "header" else elsewhere / "o.onnx"
    before = model.read_bytes()
    with pytest.raises(graphfix.ModelError, match="was changed while graphfix was working"):
        result.save(target)
    assert model.read_bytes() == before
    assert not list(elsewhere.iterdir())


def test_a_data_file_replaced_by_a_shorter_one_is_no_traceback(model, elsewhere):
    result = graphfix.apply(model, "fp8-native")
    model.with_name(model.name + "_data").write_bytes(b"short")
    with pytest.raises(graphfix.GraphfixError):
        result.save(elsewhere / "o.onnx")
    assert not list(elsewhere.iterdir())


def test_two_processes_that_write_one_output_take_turns(exports, elsewhere, tmp_path):
    """Each of two models, four times each, to one name: whoever is last, the output is one of the two, whole, and nothing else is left."""
    script = "import sys, graphfix\nfor _ in range(4):\n    graphfix.apply(sys.argv[1], 'opset23').save(sys.argv[2])"
    sources = [exports[n].path for n in ("sd3_nvfp4_20", "sd3_int8_20")]
    command = [[sys.executable, "-c", script, str(s), str(elsewhere / "o.onnx")] for s in sources]
    running = [subprocess.Popen(c, stderr=subprocess.PIPE, text=True) for c in command]
    assert [(p.communicate()[1], p.returncode) for p in running] == [("", 0), ("", 0)]
    onnx.checker.check_model(elsewhere / "o.onnx")
    wanted = set()
    for i, source in enumerate(sources):
        (tmp_path / str(i)).mkdir()
        wanted.add(graphfix.apply(source, "opset23").save(tmp_path / str(i) / "o.onnx").data_files[0].read_bytes())
    data = {t.path for t in io.external_tensors(io.load(elsewhere / "o.onnx"))}
    assert {Path(p).read_bytes() for p in data} < wanted
    assert {p.name for p in elsewhere.iterdir()} == {"o.onnx", *(Path(p).name for p in data)}


def test_a_writer_that_does_not_end_is_not_waited_for_forever(elsewhere):
    held, done, waited = threading.Event(), threading.Event(), []

    def hold():
        with lock.only_writer(elsewhere):
            held.set()
            done.wait(30)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(30)
    with (
        pytest.raises(graphfix.UnavailableError, match="another graphfix is writing"),
        lock.only_writer(elsewhere, lambda: waited.append(1), patience=0.1),
    ):
        pass
    done.set()
    other.join()
    assert waited == [1]
    with lock.only_writer(elsewhere) as alone:
        assert alone
    assert not list(elsewhere.iterdir())


def test_a_file_system_without_locks_is_written_to_all_the_same(model, elsewhere, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_lock", refuse)
    graphfix.apply(model).save(elsewhere / "o.onnx")
    onnx.checker.check_model(elsewhere / "o.onnx")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_read_only_folder_is_called_so(model, elsewhere):
    """By permissions; for root, whom permissions do not stop, by a file system mounted for reading only."""
    result, root = graphfix.apply(model), os.geteuid() == 0
    if root and subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(elsewhere)], capture_output=True, check=False).returncode:
        pytest.skip("root without the right to mount")
    elsewhere.chmod(0o500) if not root else None
    try:
        with pytest.raises(graphfix.UnavailableError, match="may not be written"):
            result.save(elsewhere / "o.onnx")
    finally:
        subprocess.run(["umount", str(elsewhere)], check=True) if root else elsewhere.chmod(0o700)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system")
def test_another_device_without_reflinks(model):
    import tempfile

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        assert Path(folder).stat().st_dev != model.stat().st_dev
        saved = graphfix.apply(model).save(Path(folder) / "o.onnx")
        assert saved.data == "copied"
        onnx.checker.check_model(saved.path)


@pytest.mark.parametrize("name", ["a b.onnx", "модель.onnx", "模型 🎨.onnx", "-.onnx", "a'b\"c.onnx", "e\u0301.onnx", "n" * 200 + ".onnx"])
def test_names_that_people_give(model, elsewhere, name):
    if sys.platform == "win32" and names.unusable(name):
        pytest.skip("not a name on Windows")
    saved = graphfix.apply(model).save(elsewhere / name)
    assert {p.name for p in elsewhere.iterdir()} == {name, name + "_data"}
    again = graphfix.apply(saved.path).save(elsewhere / "again.onnx")
    onnx.checker.check_model(again.path)


OUTSIDE = [
    "",
    "../w",
    "a/../../w",
    "a\\..\\w",
    "/w",
    "\\w",
    "C:w",
    "C:\\w",
    "c:/w",
    "\\\\server\\share\\w",
    "//server/share/w",
    "\\\\?\\C:\\w",
]
INSIDE = ["w", "a/w", "a\\w", "./w", "..w", "a..b/w", "w.", "a b", "CON", "é/w"]


@pytest.mark.parametrize(("location", "leaves"), [*((p, True) for p in OUTSIDE), *((p, False) for p in INSIDE)])
def test_what_leaves_a_folder_on_either_system(location, leaves):
    assert names.leaves_folder(location) == leaves


NO_FILES = [
    "CON",
    "con",
    "NUL",
    "nul.onnx",
    "aux.onnx",
    "sub/PRN",
    "sub\\COM1.bin",
    "LPT9",
    "COM\u00b2",
    "CONIN$",
    "NUL .txt",
    "w.",
    "w ",
    "a./w",
]
NO_FILES += ["w:stream", "w.onnx:Zone.Identifier", "a?", "a*b", 'a"b', "a<b", "a|b", "a\tb"]
FILES = ["w", "console.onnx", "com.onnx", "COM10", "nullable", "a.con", "sub/w.onnx_data", "a b.onnx", ".hidden", "модель"]


@pytest.mark.parametrize(("location", "usable"), [*((p, False) for p in NO_FILES), *((p, True) for p in FILES)])
def test_what_no_file_on_windows_can_be_called(location, usable):
    assert (names.unusable(location, windows=True) == "") == usable
    assert names.unusable(location, windows=False) == ""


def test_strangers_files_in_the_folder_are_left_alone(model, elsewhere):
    """Folders, broken links, links out and empty files named like models: none of them stops a save or is read through."""
    (elsewhere / "folder.onnx").mkdir()
    (elsewhere / "empty.onnx").touch()
    if sys.platform != "win32":
        (elsewhere / "broken.onnx").symlink_to("nowhere")
        (elsewhere / "endless.onnx").symlink_to("/dev/zero")
    strangers = {p.name for p in elsewhere.iterdir()}
    for passes in ("opset23", "trtrtx"):
        graphfix.apply(model, passes).save(elsewhere / "o.onnx")
    assert {p.name for p in elsewhere.iterdir()} == strangers | {"o.onnx", "o.onnx_data"}


def test_a_link_as_output_is_replaced_and_not_followed(model, elsewhere, tmp_path):
    if sys.platform == "win32":
        pytest.skip("links need rights on Windows")
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (elsewhere / "o.onnx").symlink_to(precious)
    graphfix.apply(model).save(elsewhere / "o.onnx")
    assert precious.read_text() == "precious"
    assert not (elsewhere / "o.onnx").is_symlink()


def test_every_campaign_has_a_row_in_the_docs():
    text = (Path(__file__).parents[2] / "docs" / "robustness.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| ([\w-]+): ", text, re.MULTILINE)) >= {"beside", "elsewhere", "folding", "in-place"}
