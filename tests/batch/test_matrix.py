"""From a manifest to places and jobs."""

import os
import shutil
from collections import Counter

import pytest

from graphfix.batch.manifest import read
from graphfix.batch.matrix import plan

MATRIX = """
models = ["*.onnx"]
targets = ["sm86", "sm89", "sm120"]
[pipelines]
one = "opset21"
two = "opset23"
"""


def places(made):
    return {(c.model, c.pipeline, c.target) for c in made.cells}


def test_every_model_by_every_pipeline_by_every_target_and_each_question_once(fleet):
    made = plan(read(fleet(MATRIX, "a", "b")))
    assert len(made.cells) == len(places(made)) == 2 * 2 * 3
    assert Counter(job.stage for job in made.jobs) == {"apply": 4, "check": 4, "load": 4, "compile": 12}


def test_exclude_takes_out_what_fits_all_that_it_says_and_include_puts_in(fleet):
    more = '[[exclude]]\nmodel = "a*"\ntarget = ["sm86", "sm89"]\n[[include]]\nmodel = "a"\npipeline = "two"\ntarget = ["sm89", "sm121"]\n'
    made = plan(read(fleet(MATRIX + more, "a", "b")))
    assert {p for p in places(made) if p[0] == "b"} == {("b", line, t) for line in ("one", "two") for t in ("sm86", "sm89", "sm120")}
    assert {p for p in places(made) if p[0] == "a"} == {
        ("a", "one", "sm120"),
        ("a", "two", "sm120"),
        ("a", "two", "sm89"),
        ("a", "two", "sm121"),
    }


def test_a_target_of_none_asks_for_no_engine(fleet):
    made = plan(read(fleet('models = ["a.onnx"]\ntargets = ["none"]', "a")))
    assert [job.stage for job in made.jobs] == ["apply", "check", "load"]


def test_models_in_folders_of_one_form_are_called_by_what_the_glob_leaves_open(fleet, tmp_path):
    manifest = fleet('models = ["zoo/*/model.onnx"]', "a")
    for name in ("sd3", "flux"):
        (tmp_path / "zoo" / name).mkdir(parents=True)
        shutil.copy(tmp_path / "a.onnx", tmp_path / "zoo" / name / "model.onnx")
    made = plan(read(manifest))
    assert list(made.models) == ["flux/model", "sd3/model"]
    outputs = {job.output for job in made.jobs if job.stage == "apply"}
    assert len(outputs) == 2
    assert all("fleet.out" in output for output in outputs)


def test_a_job_is_another_one_when_what_its_answer_depends_on_is(fleet):
    def keys(text, stage):
        return {job.key for job in plan(read(fleet(text, "a"))).jobs if job.stage == stage}

    base = 'models = ["a.onnx"]\ntiers = ["check", "compile"]\n'
    shapes = "[shapes.s]\nN = 2\n"
    assert keys(base, "check") == keys(base + 'targets = ["sm89"]\n' + shapes, "check")  # the checker knows neither
    assert keys(base, "compile") != keys(base + 'targets = ["sm89"]', "compile")
    assert keys(base + shapes, "compile") != keys(base, "compile")
    assert keys(base, "apply") == keys('models = ["a.onnx"]', "apply")
    assert keys(base + '[pipelines]\ntrtrtx = "opset23"', "check") != keys(base, "check")


@pytest.mark.parametrize("change", ["header", "bytes", "time"])
def test_a_model_is_another_one_when_its_file_or_its_data_is(fleet, tmp_path, change):
    manifest = fleet('models = ["sd3_nvfp4_20.onnx"]', "sd3_nvfp4_20")
    before = {job.key for job in plan(read(manifest)).jobs}
    data = tmp_path / "sd3_nvfp4_20.onnx_data"
    if change == "header":
        with (tmp_path / "sd3_nvfp4_20.onnx").open("ab") as file:
            file.write(b"\x12\x01p")  # producer_name = "p"
    elif change == "bytes":
        with data.open("ab") as file:
            file.write(b"more")
    else:
        os.utime(data, (1, 1))
    assert not before & {job.key for job in plan(read(manifest)).jobs}
