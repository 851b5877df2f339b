"""A manifest, and what it says to mistakes: the key, and what to type."""

import pytest

from graphfix import UsageError
from graphfix.batch.manifest import read
from graphfix.batch.matrix import plan

EVERYTHING = """
output = "released"
models = ["a.onnx", { path = "b.onnx", name = "flux" }]
targets = ["sm89", "none"]
tiers = ["compile", "check"]
timeout = 60
thresholds = { cosine = 0.98 }
[pipelines]
recipe = "opset23"
as-exported = ""
[shapes.small]
N = 2
[shapes.range]
x = { min = "1x4", opt = "2x4", max = "8x4" }
[[exclude]]
model = "fl*"
target = "sm89"
[[include]]
model = "flux"
pipeline = "recipe"
target = ["sm120", "sm121"]
"""


def test_everything_that_a_manifest_may_say(fleet):
    held = read(fleet(EVERYTHING, "a", "b"))
    assert held.output == held.path.parent / "released"
    assert held.tiers == ("check", "compile")  # in the gate's order
    small, ranged = held.shapes
    assert small.dims == {"N": 2}
    assert (ranged.least, ranged.shapes, ranged.most) == ({"x": (1, 4)}, {"x": (2, 4)}, {"x": (8, 4)})
    assert held.include[0].patterns["target"] == ("sm120", "sm121")


def test_a_manifest_of_one_line_has_sound_defaults(fleet):
    held = read(fleet('models = ["*.onnx"]', "a"))
    assert (held.output.name, held.pipelines, held.targets) == ("fleet.out", {"trtrtx": "trtrtx"}, ("sm120",))
    assert held.tiers == ("check", "load", "compile")


MISTAKES = [
    ("models = [", "not valid TOML", ""),
    ("", "models is missing", 'models = ["exports/*.onnx"]'),
    ('models = ["a.onnx"]\ntarget = ["sm89"]', "there is no key target", "did you mean targets?"),
    ('models = ["a.onnx"]\ntargets = ["sm99"]', "targets has 'sm99'", "sm120"),
    ('models = ["a.onnx"]\ntargets = "sm89"', "targets must be a list", 'targets = ["sm89", "sm120"]'),
    ('models = ["a.onnx"]\ntiers = ["check", "bench"]', "tiers has 'bench'", "graphfix validate --tier bench"),
    ('models = ["a.onnx"]\ntimeout = 0', "timeout must be a number above 0", "timeout = 600"),
    ('models = ["a.onnx"]\ntimeout = true', "timeout must be a number", ""),
    ('models = ["a.onnx"]\nplugins = ["no.py"]', "plugins names", "relative to the manifest"),
    ('models = ["a.onnx"]\nthresholds = { cos = 1 }', "there is no key thresholds.cos", "did you mean cosine?"),
    ('models = ["a.onnx"]\n[pipelines]\n"../up" = ""', "'../up', which becomes a folder", "letters"),
    ('models = ["a.onnx"]\n[shapes.s]\nx = "2x"', "shapes.s.x is '2x'", "batch_size = 2"),
    ('models = ["a.onnx"]\n[shapes.s]\nx = { min = "4x4", opt = "2x4" }', "shapes.s.x must grow", ""),
    ('models = ["a.onnx"]\n[[exclude]]\ncolour = "red"', "there is no key exclude[0].colour", "model, pipeline"),
    ('models = ["a.onnx"]\n[[include]]\ntarget = "sm9*"', "include[0].target is 'sm9*'", "sm120"),
    ('models = [{ name = "a" }]', "models[0].path is missing", ""),
    # What only the plan can see.
    ('models = ["no.onnx"]', "models[0] names no.onnx, which is not there", "relative to the manifest"),
    ('models = ["*.ort"]', "no .onnx file fits *.ort", ""),
    ('models = ["."]', "which is a folder", "*.onnx"),
    ('models = ["a.onnx", { path = "b.onnx", name = "A" }]', "two models are called A", 'name = "..."'),
    ('models = ["a.onnx"]\n[pipelines]\np = "opsets"', "pipelines.p: ", ""),
    ('models = ["a.onnx"]\n[shapes.s]\nbatch = 2', "shapes.s.batch: no model has such an input or axis", ""),
    ('models = ["a.onnx"]\n[[exclude]]\nmodel = "c*"', "exclude[0].model fits nothing: c*", "model is one of a"),
    ('models = ["a.onnx"]\ntargets = ["none"]\ntiers = ["compile"]\n[pipelines]\np = ""', "nothing is asked of a p", ""),
    ('models = ["a.onnx"]\n[[exclude]]\nmodel = "*"', "nothing is left of the matrix", ""),
]


@pytest.mark.parametrize(("text", "says", "hint"), MISTAKES, ids=[says for _, says, _ in MISTAKES])
def test_mistakes(fleet, text, says, hint):
    with pytest.raises(UsageError) as caught:
        plan(read(fleet(text, "a", "b")))
    assert says in caught.value.what
    assert hint in caught.value.hint
