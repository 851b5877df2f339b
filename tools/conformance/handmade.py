"""Seeds for operators without a node case of their own, or whose old forms no newer case can be set back to."""

from __future__ import annotations

from typing import Any

import numpy as np

_RNG = np.random.default_rng(0)


def _floats(*shape: int) -> np.ndarray:
    return _RNG.standard_normal(shape).astype(np.float32)


_HEAD = '<ir_version: 10, opset_import: ["" : 22]>'

HANDMADE: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "MaxRoiPool",
        f"{_HEAD} g (float[1,2,6,6] x, float[2,5] r) => (float[2,2,2,2] y) {{ y = MaxRoiPool <pooled_shape = [2, 2]> (x, r) }}",
        {"x": _floats(1, 2, 6, 6), "r": np.array([[0, 0, 0, 3, 3], [0, 1, 1, 5, 5]], np.float32)},
    ),
    ("GlobalLpPool", f"{_HEAD} g (float[1,2,4,4] x) => (float[1,2,1,1] y) {{ y = GlobalLpPool <p = 3> (x) }}", {"x": _floats(1, 2, 4, 4)}),
    *(
        (
            "Resize",
            f'{_HEAD} g (float[1,1,4,6] x, float[4] s) => (float[N,M,H,W] y) {{ y = Resize <mode = "{mode}"> (x, s) }}',
            {"x": _floats(1, 1, 4, 6), "s": np.array(scales, np.float32)},
        )
        for mode in ("nearest", "linear")
        for scales in ([1, 1, 2, 2], [1, 1, 1.5, 2.6], [1, 1, 0.6, 0.4], [1, 1, 0.7, 1.7])
    ),
    (
        "MeanVarianceNormalization",
        f"{_HEAD} g (float[2,3,4,4] x) => (float[2,3,4,4] y) {{ y = MeanVarianceNormalization <axes = [0, 2, 3]> (x) }}",
        {"x": _floats(2, 3, 4, 4)},
    ),
    *(
        (
            "BatchNormalization",
            f"{_HEAD} g (float[2,3,4] x, float[3,4] s, float[3,4] b, float[3,4] m, float[3,4] v) => (float[2,3,4] y)"
            " { y = BatchNormalization <spatial = 0, epsilon = 0.01> (x, s, b, m, v) }",
            {"x": _floats(2, 3, 4), "s": _floats(3, 4), "b": _floats(3, 4), "m": _floats(3, 4), "v": np.abs(_floats(3, 4))},
        )
        for _ in range(1)
    ),
    *(
        (op, f"{_HEAD} g (float[2,3] a, float[2,3] b, int64 i) => ({out} y) {{ s = SequenceConstruct (a, b)\n {text} }}", feeds)
        for op, out, text in (
            ("SequenceConstruct", "float[2,3]", "y = SequenceAt (s, i)"),
            ("SequenceAt", "float[2,3]", "y = SequenceAt (s, i)"),
            ("SequenceErase", "int64", "t = SequenceErase (s, i)\n y = SequenceLength (t)"),
            ("SequenceInsert", "int64", "t = SequenceInsert (s, a, i)\n y = SequenceLength (t)"),
            ("SequenceLength", "int64", "y = SequenceLength (s)"),
            ("ConcatFromSequence", "float[4,3]", "y = ConcatFromSequence <axis = 0> (s)"),
        )
        for feeds in ({"a": _floats(2, 3), "b": _floats(2, 3), "i": np.array(1, np.int64)},)
    ),
    (
        "SequenceEmpty",
        f"{_HEAD} g (float[2] a) => (int64 y) {{ e = SequenceEmpty <dtype = 1> ()\n s = SequenceInsert (e, a)\n y = SequenceLength (s) }}",
        {"a": _floats(2)},
    ),
    *(
        (
            "Loop",
            f"{_HEAD} g (int64 n, bool c, float[2] x) => (float[2] y, float[N,2] z)"
            " { y, z = Loop (n, c, x) <body = b (int64 i, bool p, float[2] v) => (bool q, float[2] w, float[2] u)"
            " { q = Identity (p)\n w = Add (v, v)\n u = Identity (w) }> }",
            {"n": np.array(3, np.int64), "c": np.array(True), "x": _floats(2)},
        )
        for _ in range(1)
    ),
    (
        "If",
        f"{_HEAD} g (bool c, float[2,3] x) => (float[2,3] y)"
        " { y = If (c) <then_branch = t () => (float[2,3] a) { a = Softmax <axis = 0> (x) },"
        " else_branch = e () => (float[2,3] b) { b = Identity (x) }> }",
        {"c": np.array(True), "x": _floats(2, 3)},
    ),
    ("Optional", f"{_HEAD} g (float[2] x) => (bool y) {{ o = Optional (x)\n y = OptionalHasElement (o) }}", {"x": _floats(2)}),
    (
        "OptionalGetElement",
        f"{_HEAD} g (float[2] x) => (float[2] y) {{ o = Optional (x)\n y = OptionalGetElement (o) }}",
        {"x": _floats(2)},
    ),
)
