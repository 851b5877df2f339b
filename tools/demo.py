"""The main job on a real export, shown: fix a tiny SD3 backbone in NVFP4, and compile the result for an RTX 50 card, on any machine.

python tools/demo.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NAME = "sd3_nvfp4mha_20_mo046"
EXPORTS = Path(__file__).parents[1] / "fixtures" / "exports"
SHAPES = {
    "hidden_states": "2x16x16x16",
    "encoder_hidden_states": "2x32x64",
    "pooled_projections": "2x64",
    "timestep": "2",
}


def run(*args: str) -> int:
    """Print a graphfix command, run it, return its exit code."""
    print("$ graphfix", *args, flush=True)
    code = subprocess.run([sys.executable, "-m", "graphfix", *args], check=False).returncode
    print(flush=True)
    return code


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("onnx", "onnx_data"):
            shutil.copy(EXPORTS / f"{NAME}.{suffix}", folder)
        model, fixed = (str(Path(folder) / f"{NAME}{end}") for end in (".onnx", ".fixed.onnx"))
        shapes = [word for name, shape in SHAPES.items() for word in ("--shape", f"{name}={shape}")]
        return run("apply", "--passes", "opset23,trt-types", model) or run("validate", fixed, "--target", "sm120", *shapes)


if __name__ == "__main__":
    sys.exit(main())
