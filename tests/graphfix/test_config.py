"""graphfix.toml: the nearest one counts, the command line wins, and a mistake in it is one clear error."""

import subprocess
import sys

import pytest

import graphfix
from graphfix import config

GOOD = """
[apply]
passes = "opset23"
[validate]
targets = ["sm89", "sm120"]
dims = { batch_size = 2 }
thresholds = { cosine = 0.98 }
[[lint.ignore]]
code = "GF021"
reason = "the interface is bfloat16 on purpose"
"""


def test_the_nearest_file_at_or_above_counts(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.graphfix.apply]\npasses = "outer"')
    assert config.load(inner).apply.passes == "outer"
    (tmp_path / "a" / "graphfix.toml").write_text(GOOD)
    held = config.load(inner)
    assert (held.apply.passes, held.validate.targets, held.validate.dims) == ("opset23", ("sm89", "sm120"), {"batch_size": 2})
    assert held.lint.ignore[0].code == "GF021"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[apply", "not valid TOML"),
        ("[aply]", "there is no aply"),
        ("[apply]\npass = 1", "there is no apply.pass"),
        ("[apply]\npasses = 3", "apply.passes must be a string"),
        ('[validate]\ntargets = "sm120"', "must be a list of strings"),
        ("[validate]\ndims = 3", "must be a table"),
        ('[[lint.ignore]]\ncode = "GF001"', "needs a code and a reason"),
    ],
)
def test_mistakes_name_the_file_and_the_key(tmp_path, text, says):
    (tmp_path / "graphfix.toml").write_text(text)
    with pytest.raises(graphfix.UsageError, match=says):
        config.load(tmp_path)


def test_a_lint_with_a_reason_is_not_told_of(exports, tmp_path):
    model = exports["sd3_nvfp4_20"].copy_to(tmp_path)
    command = [sys.executable, "-m", "graphfix", "lint", model.name]
    assert "GF004" in subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    (tmp_path / "graphfix.toml").write_text('[[lint.ignore]]\ncode = "GF004"\nreason = "typed by the next tool in line"')
    assert "GF004" not in subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout


def test_the_command_line_wins(exports, tmp_path):
    model = exports["sd3_int8_20"].copy_to(tmp_path)
    (tmp_path / "graphfix.toml").write_text(GOOD)
    shown = []
    for extra in ([], ["--passes", "init-inputs"]):
        command = [sys.executable, "-m", "graphfix", "apply", model.name, "--dry-run", *extra]
        shown.append(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()[1].split()[0])
    assert shown == ["opset23", "init-inputs"]
