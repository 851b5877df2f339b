"""Makes fixtures/exports again, byte for byte: seeded exports of tiny models through the quantize front end.

    python tools/make_fixtures.py [--check] [--only NAME]

``--check`` writes nothing and fails when a file would differ. On a processor that rounds products of matrices otherwise than the one that
the files were made on, bytes differ in calibrated scales and traced constants: then the graph must be the same and its numbers that
near, which is told. The stories (`NAME.toml`) are written by hand. Needs `graphfix[quantize]` with the versions below; other releases
export other bytes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from exports import Kind, make, write
from near import distance

from graphfix.quantize.quiet import captured

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "exports"
VERSIONS = {"torch": "2.13.0", "nvidia-modelopt": "0.47.0", "diffusers": "0.42.1", "onnx": "1.23.2"}
NEAR = 1e-2  # measured between AVX-512 and AVX2: at most 2.4e-3
# Formats that choose scales among candidates with close errors: another processor may choose another one, and only the graph is the same.
SEARCHED = frozenset({"svdquant", "int4-awq"})
FIXTURES = {
    "flux_fp8_20": Kind("flux", "fp8"),
    "flux_mxfp8_20": Kind("flux", "mxfp8", style="modelopt"),
    "flux_nvfp4mha_20": Kind("flux", "nvfp4", "fp8", "modelopt"),
    "flux_nvfp4svd_20": Kind("flux", "svdquant", "fp8", "modelopt"),
    "sd3_fp8_20": Kind("sd3", "fp8"),
    "sd3_fp8mha_20": Kind("sd3", "fp8", "fp8"),
    "sd3_fp8x_20": Kind("sd3", "fp8", style="modelopt"),
    "sd3_int4awq_20": Kind("sd3_wide", "int4-awq", style="modelopt"),
    "sd3_int4awq_20_raw": Kind("sd3_wide", "int4-awq"),
    "sd3_int8_20": Kind("sd3", "int8"),
    "sd3_int8sq_20": Kind("sd3", "int8-sq"),
    "sd3_mxfp8_20": Kind("sd3", "mxfp8", style="modelopt"),
    "sd3_none_20": Kind("sd3"),
    "sd3_nvfp4_20": Kind("sd3", "nvfp4", style="modelopt"),
    "sd3_nvfp4_20_legacytrtdq": Kind("sd3", "nvfp4", style="older"),
    "sd3_nvfp4_20_raw": Kind("sd3", "nvfp4"),
    "sd3_nvfp4mha_20": Kind("sd3", "nvfp4", "fp8", "modelopt"),
    "sd3_nvfp4mha_20_mo046": Kind("sd3", "nvfp4", "fp8", "0.46"),
    "sd3_nvfp4mha_20_raw": Kind("sd3", "nvfp4", "fp8"),
    "sd35_nvfp4mha_20": Kind("sd35", "nvfp4", "fp8", "modelopt"),
    "sdxl_fp8_20": Kind("sdxl", "fp8", style="example"),
    "sdxl_int8_20": Kind("sdxl", "int8"),
}


def difference(made: Path, held: Path) -> float:
    """0 for the same bytes, header and data; else how far the numbers lie apart, see `near.distance`."""
    files = [(path, held.with_name(path.name)) for path in (made, made.with_name(made.name + "_data"))]
    if not all(old.is_file() for _, old in files):
        return float("inf")
    if all(new.read_bytes() == old.read_bytes() for new, old in files):
        return 0.0
    return max(distance(made, held), 1e-12)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--to", type=Path, default=FOLDER)
    given = parser.parse_args()
    for name, wanted in VERSIONS.items():
        if version(name).partition("+")[0] != wanted:
            print(f"{name} {version(name)} is installed; the fixtures are made with {wanted}", file=sys.stderr)
            return 3
    wrong = []
    with tempfile.TemporaryDirectory() as temporary:
        log = Path(temporary) / "log"
        for name, kind in FIXTURES.items():
            if given.only not in {None, name}:
                continue
            with captured(log) as terminal:
                print(name, file=terminal, flush=True)
                path = (Path(temporary) if given.check else given.to) / f"{name}.onnx"
                write(make(kind).proto, path)
            if given.check:
                found = difference(path, FOLDER / path.name)
                if found > (NEAR if kind.format not in SEARCHED else sys.float_info.max):
                    wrong.append(name)
                elif found:
                    print(f"  the same graph; its numbers are {found:.0e} from those in {FOLDER.name}", file=sys.stderr)
    if wrong:
        print(f"these differ from what this tree makes: {', '.join(wrong)}; run python tools/make_fixtures.py", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
