"""The example from a diffusers pipeline to a deployed backbone: all of it where both environments are given, and its parts anywhere."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import venv

import numpy as np
import pytest

from tests.conftest import ROOT

HERE = ROOT / "examples" / "pipeline"
PAGE = ROOT / "docs" / "end_to_end.md"
VARIABLES = ("MODELOPT_PYTHON", "OPTIMUM_PYTHON")
MISSING = [name for name in VARIABLES if not os.environ.get(name)]


def load(name):
    spec = importlib.util.spec_from_file_location(f"pipeline_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


run, compare = load("run"), load("compare")


def script(*arguments):
    return subprocess.run([sys.executable, str(HERE / "run.py"), *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not set: the Pythons that examples/pipeline/run.py makes in its folder")
@pytest.mark.parametrize(("model", "how", "cls"), [("sd3", "int8", "ORTStableDiffusion3Pipeline"), ("flux", "nvfp4", "ORTFluxPipeline")])
def test_from_a_pipeline_to_a_picture_by_the_quantized_backbone(model, how, cls, tmp_path):
    pythons = [f"--{name.partition('_')[0].lower()}-python={os.environ[name]}" for name in VARIABLES]
    done = script("--work", tmp_path, "--models", model, "--formats", how, *pythons)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{model:5} by {cls}" in done.stdout
    held = json.loads((tmp_path / "results.json").read_text())
    (row,) = held["rows"]
    assert row["passed"]
    assert row["untouched"]
    assert row["restored"]
    assert row["psnr"] > held["other_weights_psnr"][model] + run.CLOSER
    assert 0 < row["distance"] < row["noise"] * 1.5  # the file is no further from the quantized module than quantizing goes
    pixels = compare.read(str(tmp_path / model / f"{how}.png")) if importlib.util.find_spec("PIL") else None
    assert pixels is None or (pixels.shape == (64, 64, 3) and pixels.std() > 20)  # no grey square
    assert (tmp_path / model / "sheet.png").stat().st_size > 1000


@pytest.mark.parametrize("name", sorted(run.ENVIRONMENTS))
def test_an_environment_that_lacks_something_is_told_with_the_command_that_mends_it(name, tmp_path):
    venv.create(tmp_path / "bare")
    bare = tmp_path / "bare" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    said = run.lacks(name, str(bare))
    assert "No module named" in said
    assert f"{bare} -m pip install" in said
    assert "cannot run" in run.lacks(name, str(tmp_path / "nothing"))
    if name == "modelopt":
        done = script("--work", tmp_path / "work", f"--{name}-python={bare}")
        assert done.returncode == 3
        assert "No module named" in done.stderr


def row(**given):
    good = {"gate": "PASSED check", "passed": True, "noise": 0.05, "distance": 0.01, "psnr": 30.0, "untouched": True, "restored": True}
    return run.Row("sd3", "int8", False, **{**good, **given})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"passed": False, "gate": "FAILED numerics"}, "the gate: FAILED numerics"),
        ({"psnr": 20.0}, "20.0 dB and needs 21.0"),
        ({"psnr": float("nan")}, "and needs 21.0"),
        ({"untouched": False}, "the deployable file was changed"),
        ({"restored": False}, "not as it was"),
    ],
)
def test_what_is_wrong_is_said_in_the_page(given, says):
    assert run.wrong(row(), 15.0) == []
    (why,) = run.wrong(row(**given), 15.0)
    assert says in why
    assert f"**{why}**" in run.page([row(**given)], {"sd3": 15.0}, [])


def test_psnr():
    black = np.zeros((4, 4, 3), np.uint8)
    assert compare.psnr(black, black) == float("inf")
    assert compare.psnr(black, black + np.uint8(255)) == 0
    assert compare.psnr(black, black + np.uint8(16)) == pytest.approx(24.05, abs=0.01)
    with pytest.raises(ValueError, match="cannot be compared"):
        compare.psnr(black, black[:2])


def test_the_sheet_shows_every_picture(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="pip install pillow")
    for shade in (40, 200):
        image.new("RGB", (8, 8), (shade, 0, 0)).save(tmp_path / f"{shade}.png")
    compare.sheet(str(tmp_path / "sheet.png"), [(str(tmp_path / "40.png"), "one"), (str(tmp_path / "200.png"), "two")])
    seen = {tuple(color) for color in compare.read(str(tmp_path / "sheet.png")).reshape(-1, 3)}
    assert {(40, 0, 0), (200, 0, 0), (255, 255, 255)} <= seen


def test_a_folder_that_lost_or_gained_a_byte_has_another_digest(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    before = run.digest(tmp_path)
    (tmp_path / "b").write_bytes(b"")
    assert run.digest(tmp_path) != before
    (tmp_path / "b").unlink()
    assert run.digest(tmp_path) == before


def test_the_page_holds_every_cell_and_its_pictures():
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (\w+) \| [a-z ]+ \| (\w+)", text, re.M)
    assert [cell for cell in rows if cell[0] != "model"] == [(m, f, "PASSED") for m in run.MODELS for f in run.FORMATS]
    pictures = re.findall(r"\]\((images/[^)]+)\)", text)
    assert len(pictures) == len(run.MODELS)
    assert all((PAGE.parent / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_every_command_in_the_page_is_one_that_graphfix_knows():
    (block,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    typed = [line.split() for line in block.splitlines() if line.startswith("graphfix ")]
    assert {words[1] for words in typed} == {"quantize", "validate", "apply", "place"}
    for verb in {words[1] for words in typed}:
        environment = {**os.environ, "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, "-m", "graphfix", verb, "--help"],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
            env=environment,
        )
        known = set(re.findall(r"(?<![\w-])--?[\w-]+", done.stdout))
        assert {word for words in typed if words[1] == verb for word in words if word.startswith("-")} <= known
