"""Code runs only when it was asked for: never because it lies beside a model or in the working directory."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EVIL = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n"
PLUGIN = (
    EVIL
    + "import graphfix\n\n\nclass Evil(graphfix.Pass):\n    name = 'evil'\n    summary = 'x'\n\n\nclass Lint(Evil):\n    name = 'evil2'\n"
)
MODULES = ("onnx", "numpy", "json", "typer", "evil", "onnx_ir", "sitecustomize")


@pytest.fixture
def trap(exports, tmp_path):
    """A model's folder full of Python files, an installed-looking package and a configuration, each of which would do harm."""
    model = exports["sd3_none_20"].copy_to(tmp_path / "trap") if (tmp_path / "trap").mkdir() is None else None
    folder = model.parent
    for name in MODULES:
        (folder / f"{name}.py").write_text(PLUGIN if name == "evil" else EVIL)
    info = folder / "evil-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    points = "[graphfix.passes]\nevil = evil:Evil\n[graphfix.lints]\nevil = evil:Lint\n[graphfix.pipelines]\nevil = evil:Evil\n"
    (info / "entry_points.txt").write_text(points)
    return model


def run(*command, cwd):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd, check=False, env=clean)
    return done.returncode, done.stdout + done.stderr


SCRIPT = shutil.which("graphfix", path=str(Path(sys.executable).parent))
STARTS = [pytest.param([SCRIPT], id="graphfix"), pytest.param([sys.executable, "-m", "graphfix"], id="python -m graphfix")]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    "verb",
    [["passes"], ["lint", "M"], ["validate", "M", "--tier", "check"]],
    ids=lambda v: v[0],
)
def test_nothing_in_the_working_directory_is_run(trap, start, verb):
    _, out = run(*start, *[trap.name if a == "M" else a for a in verb], cwd=trap.parent)
    assert "Traceback" not in out
    assert not (trap.parent / "ran").exists(), out
    assert "evil" not in out


def test_a_plugin_runs_when_it_is_named(trap):
    code, out = run(*STARTS[0].values[0], "passes", "--plugin", "evil.py", cwd=trap.parent)
    assert code == 0
    assert "evil" in out
    assert (trap.parent / "ran").exists()


def test_the_configuration_beside_a_model_is_not_read(trap, tmp_path):
    (trap.parent / "graphfix.toml").write_text('[apply]\npasses = "evil"\n')
    code, out = run(*STARTS[0].values[0], "apply", trap, "--dry-run", cwd=tmp_path)
    assert code == 0, out
    code, out = run(*STARTS[0].values[0], "apply", trap, "--dry-run", cwd=trap.parent)
    assert (code, "no pass or pipeline is named 'evil'" in out) == (2, True)


@pytest.mark.parametrize("format", ["text", "json", "junit", "sarif", "github", "markdown", "html"])
def test_reports_hold_no_absolute_path(trap, tmp_path, format):
    """A model that the checker and the loader refuse: what they say names the file by its full path."""
    if format == "html":
        pytest.importorskip("jinja2")
    target = tmp_path / "report"
    broken = trap.with_name("broken.onnx")
    broken.write_bytes(trap.read_bytes().replace(b"LayerNormalization", b"LayerNormalizatioN"))
    code, out = run(
        *STARTS[0].values[0],
        "validate",
        broken,
        "--tier",
        "check",
        "--tier",
        "load",
        "--format",
        format,
        "--output-file",
        target,
        cwd=tmp_path,
    )
    assert code == 1, out
    text = target.read_text()
    assert "LayerNormalizatioN" in text
    assert str(tmp_path) not in text
    assert sys.prefix not in text


def test_provenance_and_the_pass_report_hold_no_absolute_path(trap, tmp_path):
    code, out = run(*STARTS[0].values[0], "apply", trap, "-o", tmp_path / "o.onnx", "--report", tmp_path / "r.json", cwd="/")
    assert code == 0, out
    assert str(tmp_path).encode() not in (tmp_path / "o.onnx").read_bytes()
    assert str(tmp_path) not in json.dumps(json.loads((tmp_path / "r.json").read_text()))
