"""A correct migration that a known runtime cannot follow is said to be one."""

import onnx
import pytest

import graphfix

ROI = "(float[1,1,4,4] x, float[1,4] r, int64[1] i) => (float[1,1,1,1] y) { [roi] y = RoiAlign (x, r, i) }"
QUANTIZE = "(float[2] x, float s) => (uint8[2] y) { [q] y = QuantizeLinear (x, s) }"


@pytest.mark.parametrize(
    ("text", "source", "target", "expected"),
    [
        (ROI, 16, 21, []),
        (ROI, 16, 22, [("runtime-kernel", "roi (RoiAlign)", "opset21")]),
        (QUANTIZE, 21, 23, []),
        (QUANTIZE, 25, 28, [("runtime-kernel", "q (QuantizeLinear)", "opset27"), ("GF013", "model", "")]),
    ],
)
def test_findings(text, source, target, expected):
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : {source}]> g {text}')
    found = graphfix.apply(model, f"opset{target}").findings
    assert [(f.code, f.where, f.fix) for f in found] == expected


def test_the_release_is_named():
    model = onnx.parser.parse_model('<ir_version: 9, opset_import: ["" : 20]> g (float[2] x) => (float[2] y) { y = Relu (x) }')
    (found,) = graphfix.apply(model, "opset26").findings
    assert found.message == "releases of ONNX Runtime before 1.26 do not load the result (before: 1.19)"
