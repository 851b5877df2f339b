"""What holds for every lint: it documents itself with examples that are true, and the pass that it names mends it."""

import re
from pathlib import Path

import onnx
import pytest

import graphfix
from graphfix.lints import BUILT_IN
from graphfix.lints.base import HEADS, LEVELS
from graphfix.lints.run import collect
from graphfix.registry import Registry

# Published: a line may be added, none may be changed or removed.
FROZEN = """
GF001 opset-too-low-for-type
GF002 attribute-newer-than-opset
GF003 operator-not-in-opset
GF004 untyped-trt-output
GF005 wrongly-typed-trt-output
GF006 unregistered-trt-operator
GF007 qdq-in-trt-domain
GF008 missing-domain-import
GF009 duplicate-domain-import
GF010 initializer-as-input
GF011 ir-older-than-opset
GF012 ir-newer-than-runtime
GF013 opset-newer-than-runtime
GF014 type-not-on-target
GF015 dynamic-blocked-axis
GF016 block-does-not-divide
GF017 fp4-rank
GF018 nonzero-zero-point
GF019 scale-not-positive
GF020 scale-not-finite
GF021 mixed-element-types
GF022 wrongly-declared-type
GF023 output-type-mismatch
GF024 external-data-missing
GF025 external-data-too-short
GF026 external-data-overlaps
GF027 external-data-orphaned
GF028 external-data-outside-folder
GF029 external-data-is-link
GF030 modelopt-046-weights
GF031 frozen-token-count
GF032 bfloat16-interface
GF033 broken-graph
GF034 trt-operand-type
GF035 shapes-not-inferred
GF036 mismatched-blocks
GF037 type-on-no-target
"""

# What a lint has to be asked with before it says something.
ASKED = {"GF012": {"ort": "1.30"}, "GF013": {"ort": "1.20"}, "GF014": {"targets": ["sm89"]}}
each = pytest.mark.parametrize("cls", BUILT_IN, ids=lambda cls: cls.code)
with_text = pytest.mark.parametrize("cls", [c for c in BUILT_IN if c.needs != "file"], ids=lambda cls: cls.code)


def example(cls, head):
    """The ONNX text under a head, as a model. Not checked: most examples are not valid, which is their point."""
    (text,) = re.findall(r"```onnx\n(.*?)```", cls.sections()[head], re.S)
    return onnx.parser.parse_model(text)


def codes(model, cls):
    return [f.code for f in graphfix.lint(model, **ASKED.get(cls.code, {})).findings]


def test_codes_and_names_are_unique_and_stay():
    assert [f"{cls.code} {cls.name}" for cls in BUILT_IN] == FROZEN.split("\n")[1:-1]
    assert collect()[: len(BUILT_IN)] == list(BUILT_IN)


@each
def test_it_says_what_it_is(cls):
    assert list(cls.sections()) == list(HEADS)
    assert all(len(text) > 15 for text in cls.sections().values())
    assert cls.level in LEVELS
    assert Path(cls.__module__.rpartition(".")[2]).name == f"{cls.code.lower()}_{cls.name.replace('-', '_')}"
    assert cls.check.__doc__
    if cls.fix:
        Registry.load().pass_class(cls.fix)


@with_text
def test_it_finds_its_example_and_not_what_to_use_instead(cls):
    assert cls.code in codes(example(cls, "Example"), cls)
    assert cls.code not in codes(example(cls, "Use instead"), cls)


@with_text
def test_what_to_use_instead_has_no_smell_at_all_that_is_an_error(cls):
    found = graphfix.lint(example(cls, "Use instead"), **ASKED.get(cls.code, {})).findings
    assert [f for f in found if f.level == "error"] == []


@pytest.mark.parametrize("cls", [c for c in BUILT_IN if c.fix], ids=lambda cls: cls.code)
def test_the_pass_that_it_names_mends_it(cls):
    model = example(cls, "Example")
    fixes = {f.fix for f in graphfix.lint(model, **ASKED.get(cls.code, {})).findings if f.code == cls.code}
    assert len(fixes) == 1
    fixed = graphfix.apply(model, fixes.pop())
    assert fixed.changes
    assert cls.code not in codes(fixed.model, cls)


@with_text
def test_linting_changes_nothing(cls):
    model = example(cls, "Example")
    before = model.SerializeToString(deterministic=True)
    graphfix.lint(model, targets=["sm75", "sm121"], ort="1.19")
    assert model.SerializeToString(deterministic=True) == before


def test_findings_that_passes_leave_have_the_codes_of_lints():
    known = {cls.code for cls in BUILT_IN}
    said = re.compile(r"ctx\.note\(\s*\"([^\"]+)\"")
    passes = Path(__file__).parents[2] / "passes"
    noted = {code for path in passes.glob("**/*.py") for code in said.findall(path.read_text(encoding="utf-8"))}
    assert noted & known
    # What no lint looks for may have a name of its own, as long as it is not the name of a lint's smell.
    assert not {code for code in noted - known if code.startswith("GF") or code in {cls.name for cls in BUILT_IN}}
