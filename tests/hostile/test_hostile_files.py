"""Every verb on every hostile file: the expected answer, no traceback, no hang, nothing touched outside, memory in proportion."""

import importlib.util
import sys
import tempfile
from pathlib import Path

import pytest

from graphfix.registry import Registry

_spec = importlib.util.spec_from_file_location("hostile_files", Path(__file__).with_name("files.py"))
files = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = files
_spec.loader.exec_module(files)

# docs/robustness.md states this: memory beyond what an empty model takes.
BASE, MULTIPLE = 100 << 20, 400

PIPELINE = "trtrtx"
ALONE = sorted(set(Registry.load().names()) - {p.rstrip("0123456789") for p in Registry.load().pipelines()[PIPELINE].split(",")})
READING = (["inspect", "m.onnx"], ["lint", "m.onnx", "--target", "sm120", "--ort", "1.30"], ["diff", "m.onnx", "../good/m.onnx"])
APPLY = ["apply", "m.onnx", "-o", "o.onnx"]
LARGE = 100_000  # bytes: beyond, the default pipeline stands for every pass
# What is refused when it is read is refused by every verb alike; what goes through meets every pass.
DEEPER = (
    ["validate", "m.onnx", "--tier", "check", "--format", "junit"],
    *(["apply", "m.onnx", "-p", name, "-o", "o.onnx"] for name in ALONE),
)
# Where Python keeps its own files, and the folders that child processes get theirs from.
TEMPORARY = f"{tempfile.gettempdir()}/tmp"
OWN = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]), "/proc", "/dev/null", "/usr/lib", "/sys")


@pytest.fixture(params=files.TABLE, ids=[h.name for h in files.TABLE])
def case(request, tmp_path):
    """A hostile file in a folder of its own, and a good model beside that folder."""
    for name in ("good", "hostile"):
        (tmp_path / name).mkdir()
    files.write(tmp_path / "good", files.plain())
    request.param.build(tmp_path / "hostile")
    return request.param, tmp_path / "hostile"


def size_of(folder):
    model = folder / "m.onnx"
    return model.stat().st_size if model.is_file() else 0


def hold(found, folder, arguments):
    """What must be true of every answer."""
    told = f"{' '.join(arguments)}: exit {found['code']}\n{found['err'][-2000:]}"
    assert found["code"] in {0, 1, 2, 3}, told
    assert "Traceback" not in found["err"] + found["out"], told
    assert "this is an error in the" not in found["err"], told
    assert found["extra"] <= BASE + MULTIPLE * size_of(folder), f"{told}{found['extra'] / 1e6:.0f} MB for {size_of(folder):,} bytes"
    mine = (str(folder), str(folder.parent / "good"), *OWN)
    strange = [
        p
        for p in found["touched"]
        if not p.startswith(mine) and Path(p).parent != Path(tempfile.gettempdir()) and not p.startswith(TEMPORARY)
    ]
    assert not strange, f"{told}\ntouched {strange}"
    assert "\x1b" not in found["out"] + found["err"], told
    assert not any(line.lstrip().startswith("::") for line in (found["out"] + found["err"]).splitlines()), told


def test_every_verb_answers(case, zygote):
    hostile, folder = case
    before = sorted(folder.iterdir())
    for arguments in (*READING, APPLY, *(() if hostile.says or size_of(folder) > LARGE else DEEPER)):
        found = zygote(arguments, folder)
        hold(found, folder, arguments)
        if arguments[0] == "apply" and hostile.says:
            assert hostile.says in found["err"], found["err"] or found["out"]
            assert found["code"] == 1
            assert sorted(folder.iterdir()) == before
        elif arguments[0] == "apply" and arguments[2] == "-o":
            assert found["code"] == 0, found["err"]


def test_the_stories_are_told():
    assert all(len(h.story) > 10 for h in files.TABLE)
    assert len({h.name for h in files.TABLE}) == len(files.TABLE)


def test_names_reach_a_screen_as_text(zygote, tmp_path):
    files.escape_codes(tmp_path)
    found = zygote(["inspect", "m.onnx"], tmp_path)
    assert "Cus\\x1btom" in found["out"]
    assert "\\x1b[2J" in found["out"]
    assert "\u202e" not in found["out"]


@pytest.mark.parametrize("kind", ["json", "junit", "sarif", "github", "markdown"])
def test_reports_stay_well_formed(zygote, tmp_path, kind):
    import json
    from xml.etree import ElementTree

    files.escape_codes(tmp_path)
    out = zygote(["validate", "m.onnx", "--tier", "check", "--format", kind], tmp_path)["out"]
    if kind == "junit":
        assert ElementTree.fromstring(out).tag == "testsuites"
    elif kind in {"json", "sarif"}:
        assert json.loads(out)
    assert "\n::error::x" not in out
