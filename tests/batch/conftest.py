"""What tests of batches share: a folder with a manifest, and what must be equal however a batch was run."""

import shutil

import pytest

from graphfix.batch import carry_out
from graphfix.batch.local import Local

IDENTITY = """<ir_version: 10, opset_import: ["" : 20]>
g (float[N, 4] x) => (float[N, 4] y) { a = Identity (x)
 y = Relu (a) }"""


@pytest.fixture
def fleet(exports, parse, tmp_path):
    """Put models into a folder, write a manifest beside them, give its path. A name that is no export is a graph of two nodes."""

    def make(manifest, *names):
        for name in names:
            if name in exports:
                exports[name].copy_to(tmp_path)
            else:
                (tmp_path / f"{name}.onnx").write_bytes(parse(IDENTITY.replace("g (", f"{name} (")).SerializeToString())
        path = tmp_path / "fleet.toml"
        path.write_text(manifest, encoding="utf-8")
        return path

    return make


@pytest.fixture
def serial():
    """Carry a manifest out with one worker; gives what is in batch.json."""

    def run(manifest, rerun="", workers=1, report=None):
        return carry_out(manifest, lambda: Local(workers), rerun, report)[0]

    return run


@pytest.fixture
def again(tmp_path):
    """Forget everything that was answered and made."""

    def forget():
        shutil.rmtree(tmp_path / "fleet.out")

    return forget


@pytest.fixture
def essence():
    """A batch without what differs between two runs of the same jobs: times, memory, and what ran them."""

    def of(told):
        return {
            "verdict": told["verdict"],
            "models": told["models"],
            "applied": [{k: v for k, v in row.items() if k != "seconds"} for row in told["applied"]],
            "cells": [
                {
                    **{k: cell[k] for k in ("model", "pipeline", "shapes", "target", "outcome", "why")},
                    "checks": [(check["tier"], check["name"], check["status"]) for check in cell["checks"]],
                }
                for cell in told["cells"]
            ],
        }

    return of
