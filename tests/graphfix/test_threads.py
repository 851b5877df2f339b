"""graphfix in several threads of one process: a service that mends uploads, a tool that walks a folder."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import onnx
import pytest

import graphfix
from graphfix import schemas
from graphfix.facts.trt_ops import DOMAIN

EXPORTS = ["sd3_fp8_20", "sd3_nvfp4_20_raw", "flux_mxfp8_20", "sd3_int8_20"]


def shared_known():
    return {name for name in schemas.SHARED_NAMES if onnx.defs.has(name, DOMAIN)}


def test_threads_write_what_one_thread_writes(exports, tmp_path):
    def mended(name, folder):
        (tmp_path / folder).mkdir()
        saved = graphfix.apply(exports[name].path).save(tmp_path / folder / "out.onnx").path
        return saved.read_bytes()

    wanted = [mended(name, name) for name in EXPORTS]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(mended, EXPORTS * 4, map(str, range(16))))
    assert found == wanted * 4
    assert not shared_known()


@pytest.mark.parametrize("first", ["outer", "inner"])
def test_onnx_knows_the_shared_operators_until_the_last_block_ends(first):
    blocks = {"outer": ExitStack(), "inner": ExitStack()}
    for block in blocks.values():
        block.enter_context(schemas.registered())
    blocks.pop(first).close()
    assert shared_known() == schemas.SHARED_NAMES
    blocks.popitem()[1].close()
    assert not shared_known()
