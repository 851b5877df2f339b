"""GF024: a data file that the model refers to is not there."""

from __future__ import annotations

from graphfix.io.external import MISSING
from graphfix.lints.external import ExternalDataLint


class ExternalDataMissing(ExternalDataLint):
    """## What it does
    Looks for external data files that are not in the model's folder.

    ## Why is this bad?
    Nothing can load the file. Models travel as two files, and copying, renaming or downloading only the ``.onnx`` is easily done.

    ## Example
    ``model.onnx`` alone in a folder, with tensors in ``model.onnx_data``.

    ## Use instead
    ``model.onnx`` and ``model.onnx_data`` side by side, under the names that they were saved with.

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
    """

    code = "GF024"
    name = "external-data-missing"
    kind = MISSING
