"""docs/formats.md: complete, green, and compared the way its tool says. CI regenerates the page itself."""

import importlib.util

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("formats_matrix", ROOT / "tools" / "formats_matrix.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows():
    lines = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]


def test_every_export_has_a_row_and_every_door_is_open_after(exports):
    main = [row for row in rows() if "→" in row[2]]
    assert {row[0].strip("`") for row in main} == set(exports)
    for row in main:
        for cell in row[2:7]:
            assert cell == "·" or cell.endswith("→ yes"), row
    for row in (row for row in rows() if "→" not in row[2]):
        assert set(row[2:7]) <= {"yes", "·"}


def test_pages_agree_up_to_a_factor_of_two_in_errors(tool):
    page = "| a | no → yes | 3e-04 (ORT) | 1,024 |"
    assert tool.agrees(page, page.replace("3e-04", "5e-04"))
    assert not tool.agrees(page, page.replace("3e-04", "7e-04"))
    assert not tool.agrees(page, page.replace("yes", "no"))
    assert not tool.agrees(page, page.replace("1,024", "1,025"))


def test_a_variant_replaces_its_pass_or_follows(tool):
    assert "mxfp8{activations=float},rotary" in tool.with_variant("mxfp8{activations=float}")
    assert tool.with_variant("fp8-native").endswith(",fp8-native")
