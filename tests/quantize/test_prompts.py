"""Prompts as calibration data: read and checked before anything heavy starts, and run at the sizes that were asked for."""

import pytest

from graphfix.errors import UsageError
from graphfix.quantize import job, samples
from graphfix.quantize.recipes import backbones

from .conftest import MODELS


@pytest.fixture
def pipeline(tmp_path):
    """What is looked at of a pipeline's folder before it is loaded."""
    for kind in ("sd3", "flux"):
        (tmp_path / kind / "transformer").mkdir(parents=True)
        (tmp_path / kind / "model_index.json").write_text("{}")
        (tmp_path / kind / "transformer" / "config.json").write_text((MODELS / kind / "config.json").read_text())
    return tmp_path


def make(folder, kind, prompts, **sizes):
    (folder / "prompts.txt").write_bytes(prompts)
    return job.make(str(folder / kind), folder / "out", calibration=str(folder / "prompts.txt"), sizes=sizes)


def test_one_prompt_a_line(tmp_path):
    (tmp_path / "prompts.txt").write_bytes(b"\xef\xbb\xbfa lighthouse\r\n\r\n  a red boat \n")  # as an editor of Windows writes it
    assert samples.prompts(tmp_path / "prompts.txt") == ["a lighthouse", "a red boat"]


@pytest.mark.parametrize(("prompts", "says"), [(b"\n \n", "holds no prompt"), (b"caf\xe9", "cannot read")])
def test_a_file_without_prompts_is_told_before_the_model_is_loaded(pipeline, prompts, says):
    with pytest.raises(UsageError, match=says):
        make(pipeline, "sd3", prompts)


def test_sizes_become_the_arguments_of_the_pipeline():
    known = backbones()
    assert known["sd3"].call({"height": 8, "width": 16, "sequence_length": 93}, 8) == {
        "height": 64,
        "width": 128,
        "max_sequence_length": 16,
    }
    assert known["flux"].call({"packed_height_width": 16, "sequence_length": 32}, 8) == {
        "height": 64,
        "width": 64,
        "max_sequence_length": 32,
    }
    assert known["sdxl"].call({"height": 64}, 8) == {"height": 512}
    assert known["flux"].call({}, 8) == {}  # the pipeline's own sizes


@pytest.mark.parametrize(
    ("kind", "sizes", "says"),
    [
        ("flux", {"packed_height_width": 15}, "15 is no square number"),
        ("sd3", {"sequence_length": 32}, "cannot take max_sequence_length=-45"),
    ],
)
def test_what_the_pipeline_cannot_take_is_told_before_it_is_loaded(pipeline, kind, sizes, says):
    with pytest.raises(UsageError, match=says):
        make(pipeline, kind, b"a lighthouse", **sizes)
    job.make(str(pipeline / kind), pipeline / "out", sizes=sizes)  # without prompts there is no pipeline to take it
