"""The table of opset changes says what onnx says, and every rule that it names exists."""

import subprocess
import sys
from pathlib import Path

import onnx.defs

from graphfix.facts import opsets
from graphfix_passes.opset_rules import DOWNGRADES, UPGRADES

ROOT = Path(__file__).parents[2]
ROWS = [row for rows in opsets.table().values() for row in rows]


def test_the_table_is_what_the_installed_onnx_says():
    result = subprocess.run(
        [sys.executable, ROOT / "tools" / "make_opset_table.py", "--check"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"python tools/make_opset_table.py, and decide on each new row:\n{result.stdout}"


def test_the_newest_opset_is_covered():
    assert onnx.defs.onnx_opset_version() == opsets.NEWEST == max(opsets.IR_VERSION)


def test_every_rule_is_used_and_exists():
    assert {row.rule for row in ROWS if row.rule} == UPGRADES.keys()
    assert {row.down for row in ROWS} - {opsets.REFUSE} == DOWNGRADES.keys()


def test_every_row_is_decided():
    assert [f"{row.op_type}-{row.to}" for row in ROWS if row.verdict == opsets.REFUSE] == []


def test_every_rule_names_its_source():
    rules = {**UPGRADES, **DOWNGRADES}
    assert [name for name, rule in rules.items() if "Source:" not in (rule.__doc__ or "")] == []
