"""GF026: two tensors share some of their bytes."""

from __future__ import annotations

from graphfix.io.external import OVERLAP
from graphfix.lints.external import ExternalDataLint


class ExternalDataOverlaps(ExternalDataLint):
    """## What it does
    Looks for tensors whose ranges in the data file overlap in part. Two tensors at exactly the same range are one tensor stored once.

    ## Why is this bad?
    One of the two was written over the other, so at least one holds wrong numbers, and nothing complains.

    ## Example
    Tensor ``a`` at bytes 0 to 4,096 and tensor ``b`` at 2,048 to 6,144.

    ## Use instead
    ``b`` at 4,096 to 8,192.

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
    """

    code = "GF026"
    name = "external-data-overlaps"
    kind = OVERLAP
