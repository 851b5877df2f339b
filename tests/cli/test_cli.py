"""The command line as a person meets it: what it prints, what it writes, what it answers to mistakes."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

MODELS = Path(__file__).parents[2] / "fixtures" / "models"


def graphfix(*args, cwd=None, env=None):
    """Run the command; returns exit code, stdout, stderr."""
    command = [sys.executable, "-m", "graphfix", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, env={**os.environ, **(env or {})})
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def model(exports, tmp_path):
    return exports["sd3_nvfp4mha_20_mo046"].copy_to(tmp_path)


def test_the_main_job(model):
    before = {p: hashlib.sha256(p.read_bytes()).digest() for p in model.parent.iterdir()}
    code, out, err = graphfix("apply", "--passes", "opset23,trt-types", model)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["pass", "changes", "seconds"]
    assert [line.split()[:2] for line in lines[1:3]] == [["opset23", "874"], ["trt-types", "128"]]
    fixed = model.with_name("sd3_nvfp4mha_20_mo046.fixed.onnx")
    assert lines[3] == f"wrote {fixed}  (data shared with the input: sd3_nvfp4mha_20_mo046.onnx_data)"
    onnx.checker.check_model(fixed, full_check=True)
    assert {p: hashlib.sha256(p.read_bytes()).digest() for p in before} == before


def test_dry_run_writes_nothing_and_says_what_would_change(model):
    code, out, _ = graphfix("apply", model, "--dry-run")
    assert code == 0
    assert "78 x graph input: listed -> initializer only" in out
    assert "and 75 more" in out
    assert out.endswith("dry run: nothing was written\n")
    assert len(list(model.parent.iterdir())) == 2


def test_diff_gives_each_kind_of_change_its_reason(model):
    _, out, _ = graphfix("apply", model, "--diff")
    assert "26 x element type: none -> FLOAT8E4M3FN\n           the operator's contract for this port\n" in out


def test_the_report_holds_everything(model):
    code, _, _ = graphfix("apply", model, "--passes", "opset23", "--report", model.with_name("r.json"))
    report = json.loads(model.with_name("r.json").read_text())
    assert code == 0
    assert len(report["passes"][0]["changes"]) == 874
    assert report["input"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert str(model.parent) not in json.dumps(report)


def test_an_earlier_output_is_replaced_and_a_strangers_file_is_not(model):
    for _ in range(2):
        assert graphfix("apply", model)[0] == 0
    stranger = model.with_name("other.onnx")
    stranger.write_text("precious")
    code, _, err = graphfix("apply", model, "-o", stranger)
    assert (code, stranger.read_text()) == (2, "precious")
    assert "--force" in err
    assert graphfix("apply", model, "-o", stranger, "--force")[0] == 0


def test_in_place_replaces_the_input_and_nothing_else(model):
    assert graphfix("apply", model, "-o", model)[0] == 2
    assert graphfix("apply", model, "--in-place")[0] == 0
    assert {p.name for p in model.parent.iterdir()} == {model.name, model.name + "_data"}
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["nowhere.onnx"], 2, "no file nowhere.onnx"),
        (["."], 2, "is a folder"),
        (["text.onnx"], 1, "is not an ONNX model"),
        (["cut.onnx"], 1, "cut off"),
        (["lonely.onnx"], 1, "external data is missing"),
        (["M", "--passes", "nope"], 2, "no pass or pipeline is named 'nope'"),
        (["M", "--passes", "opset{x=1}"], 2, "has no option 'x'"),
        (["M", "--passes", "trt-types,opset23"], 2, "must come after"),
        (["M", "--passes", "opset7"], 1, "refuses"),
        (["M", "-o", "no/such/folder/o.onnx"], 2, "there is no folder"),
        (["M", "--data", "link"], 2, "--data share, copy, gather or auto"),
        (["M", "--in-place", "-o", "x.onnx"], 2, "exclude each other"),
        (["M", "--in-place", "--no-sync"], 2, "after a power cut"),
        (["M", "--plugin", "nope.py"], 2, "no plugin file"),
        (["M", "--what"], 2, "No such option"),
        ([], 2, "Missing argument"),
    ],
)
def test_mistakes_get_one_message_the_right_code_and_no_files(model, args, code, says):
    folder = model.parent
    (folder / "text.onnx").write_text("hello")
    (folder / "cut.onnx").write_bytes(model.read_bytes()[:5000])
    (folder / "lonely.onnx").write_bytes(model.read_bytes().replace(b"sd3_nvfp4mha_20_mo046.onnx_data", b"sd3_nvfp4mha_20_mo046.onnx_DATA"))
    before = sorted(folder.iterdir())
    found, out, err = graphfix("apply", *[model.name if a == "M" else a for a in args], cwd=folder)
    assert found == code, err
    assert says in err
    assert "Traceback" not in err + out
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("words", [["quantize", str(MODELS / "sd3"), "-o"], ["apply", "M", "-o"], ["apply", "M", "--report"]])
def test_a_folder_that_cannot_be_is_told_without_a_traceback(model, words):
    (model.parent / "file").write_text("in the way")
    code, _, err = graphfix(*[model if word == "M" else word for word in words], model.parent / "file" / "out.json", cwd=model.parent)
    assert code in {2, 3}, err
    assert err.startswith("error: ")
    assert "Traceback" not in err


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from graphfix.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
@pytest.mark.parametrize("limit", [100_000, 250_000])
def test_a_write_that_fails_midway_leaves_nothing(model, tmp_path, limit):
    target = tmp_path / "elsewhere"
    target.mkdir()
    command = [sys.executable, "-c", FULL, str(limit), "apply", str(model), "-o", str(target / "o.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(target.iterdir())


def test_a_full_disk_is_called_so(model, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        code, _, err = graphfix("apply", model, "-o", small / "o.onnx")
        assert code == 3
        assert "no space left" in err
        assert not list(small.iterdir())
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_passes_lists_and_explains():
    code, out, _ = graphfix("passes")
    assert code == 0
    assert "trt-types" in out
    assert "trtrtx    known-defects,opset23," in out
    code, out, _ = graphfix("passes", "opset21")
    assert "option target=21" in out
    assert "Leaves alone:" in out


def test_inspect_counts_what_is_there(exports):
    code, out, _ = graphfix("inspect", exports["sd3_nvfp4mha_20"].path)
    assert code == 0
    assert "opsets: default 23, trt 1" in out
    assert ["NVFP4", "26", "122,880", "26"] in [line.split() for line in out.splitlines()]
    assert "[batch_size,num_channels,height,width]" in out
    found = json.loads(graphfix("inspect", exports["sd3_nvfp4mha_20"].path, "--format", "json")[1])
    assert found["external"] == [["sd3_nvfp4mha_20.onnx_data", 256512, 43, 256512]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sd3_none_20", {}),
        ("sd3_int8_20", {"INT8": (26, 34)}),
        ("sd3_fp8_20", {"FP8": (26, 34)}),
        ("sd3_mxfp8_20", {"MXFP8": (26, 34)}),
        ("sd3_int4awq_20", {"INT4": (26, 0)}),
    ],
)
def test_inspect_knows_the_formats(exports, name, expected):
    found = json.loads(graphfix("inspect", exports[name].path, "--format", "json")[1])
    assert {row[0]: (row[1], row[3]) for row in found["quantization"]} == expected


def test_validate_compiles_without_a_gpu_and_names_the_node_that_fails(exports, model):
    graphfix("apply", model)
    shapes = [a for k, v in exports["sd3_nvfp4mha_20_mo046"].shapes.items() for a in ("--shape", f"{k}={'x'.join(map(str, v))}")]
    fixed = model.with_name("sd3_nvfp4mha_20_mo046.fixed.onnx")
    code, out, _ = graphfix("validate", fixed, "--tier", "compile", "--target", "sm120", *shapes)
    assert code == 0
    assert "engine of" in next(line for line in out.splitlines() if line.split()[:3] == ["ok", "compile", "sm120"])
    code, out, _ = graphfix("validate", exports["sd3_nvfp4_20_raw"].path, *shapes)
    assert code == 1
    assert "TRT_FP4QDQ" in out
    assert graphfix("validate", model, "--target", "sm90")[0] == 2


START = """
import sys
from pathlib import Path
from graphfix.cli import main
try:
    main()
except SystemExit:
    pass
print([m for m in ("numpy", "onnx", "onnx_ir", "onnxscript", "torch", "ray") if m in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["passes"], ["apply", "--help"]])
def test_start_up_imports_no_heavy_package(args):
    done = subprocess.run([sys.executable, "-c", START, *args], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_output_is_plain_in_a_log(model):
    _, out, err = graphfix("apply", model)
    assert "\x1b" not in out + err
