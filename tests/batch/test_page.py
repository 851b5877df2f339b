"""batch.html: one self-contained page, readable on a desk and on a phone."""

import pytest

from graphfix.batch import page


def sample():
    """A matrix of two pipelines and three targets in which everything happens once."""
    outcomes = ["ok", "findings", "refused", "unavailable", "timed out", "crashed"]
    cells, i = [], 0
    for model in ("a_model_with_a_long_name_of_its_own", "<b>"):
        for pipeline in ("one", "two"):
            for target in ("sm86", "sm89", "sm120"):
                outcome = outcomes[i % 6]
                why = [] if outcome == "ok" else [{"stage": "compile", "outcome": outcome, "message": f"because of <{outcome}>\nhere"}]
                cells.append(
                    {"model": model, "pipeline": pipeline, "shapes": "", "target": target, "outcome": outcome, "why": why, "seconds": 1.0}
                )
                i += 1
    cells.pop()  # a place that was excluded
    problems = [
        {**why, "cells": [n for n, c in enumerate(cells) if c["outcome"] == why["outcome"]], "fix": "graphfix doctor"}
        for cell in cells[:6]
        for why in cell["why"]
    ]
    return {
        "manifest": "fleet.toml",
        "verdict": "FAILED 9 of 11",
        "passed": False,
        "counts": {name: sum(c["outcome"] == name for c in cells) for name in outcomes},
        "models": [{}, {}],
        "pipelines": {"one": "opset23", "two": "trtrtx"},
        "tiers": ["compile"],
        "applied": [{"model": "<b>", "pipeline": "one", "outcome": "refused"}],
        "cells": cells,
        "problems": problems,
        "run": {
            "executor": "2 processes",
            "jobs": 11,
            "resumed": 1,
            "not_run": 0,
            "deaths": [{"job": "x", "attempt": 1, "how": "<killed>"}],
            "seconds": 3.0,
        },
        "tool": {"version": "0", "python": "3", "packages": {"onnx": "1"}},
    }


def test_it_is_self_contained_and_escaped():
    text = page.render(sample())
    assert "<b>" not in text
    assert "&lt;killed&gt;" in text
    for outside in ("http://", "https://", "<script", "<link", "src="):
        assert outside not in text


def test_every_place_leads_to_what_is_wrong_with_it():
    text = page.render(sample())
    for n, problem in enumerate(sample()["problems"]):
        assert text.count(f'href="#p{n}"') == len(problem["cells"])
        assert f'id="p{n}"' in text


PROBE = """<script>
document.title = JSON.stringify({
  wide: document.documentElement.scrollWidth > window.innerWidth,
  verdict: document.getElementById("verdict").innerText,
  top: document.querySelector(".matrix").getBoundingClientRect().top < 500,
  cut: [...document.querySelectorAll(".matrix td")].filter(td => td.scrollWidth > td.clientWidth + 1).length,
  rows: [...document.querySelectorAll(".matrix")].map(t => t.querySelectorAll("tbody tr").length),
});
</script></body>"""


@pytest.mark.parametrize("width", [1200, 390])
def test_in_a_real_browser(in_browser, width):
    found = in_browser(page.render(sample()), PROBE, width)
    assert found == {"wide": False, "verdict": "FAILED 9 of 11", "top": True, "cut": 0, "rows": [2, 2]}
