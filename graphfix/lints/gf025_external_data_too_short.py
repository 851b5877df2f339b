"""GF025: a data file ends before a tensor does."""

from __future__ import annotations

from graphfix.io.external import SHORT
from graphfix.lints.external import ExternalDataLint


class ExternalDataTooShort(ExternalDataLint):
    """## What it does
    Looks for tensors that lie beyond the end of their data file, or whose recorded length is less than their shape and type need.

    ## Why is this bad?
    The file was cut off on its way, or it belongs to another export. Readers that map it into memory crash instead of answering.

    ## Example
    A tensor at bytes 4,096 to 8,192 of a file that has 6,000.

    ## Use instead
    The data file of the same export, complete: compare its size with the original's.

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
    """

    code = "GF025"
    name = "external-data-too-short"
    kind = SHORT
