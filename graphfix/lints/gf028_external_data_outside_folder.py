"""GF028: data is kept outside the model's folder."""

from __future__ import annotations

from graphfix.io.external import OUTSIDE
from graphfix.lints.external import ExternalDataLint


class ExternalDataOutsideFolder(ExternalDataLint):
    """## What it does
    Looks for external data with an absolute path, with ``..`` in it, or behind a link that leads out of the model's folder.

    ## Why is this bad?
    ONNX forbids it and readers refuse it, since such a path reads any file of the machine. It also does not survive a move.

    ## Example
    A tensor with location ``../weights/model.onnx_data``.

    ## Use instead
    The data file beside the model, and location ``model.onnx_data``.

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
    """

    code = "GF028"
    name = "external-data-outside-folder"
    kind = OUTSIDE
