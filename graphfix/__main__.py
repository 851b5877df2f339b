"""``python -m graphfix``."""

import os
import sys

# python -m puts the working directory first, and a model's folder may hold an onnx.py, or what looks like an installed package with passes.
_home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib would be looked up there too
if sys.path and os.path.abspath(sys.path[0]) == os.getcwd() != _home:  # noqa: PTH100, PTH109
    del sys.path[0]

from graphfix.cli import main  # noqa: E402

main()
