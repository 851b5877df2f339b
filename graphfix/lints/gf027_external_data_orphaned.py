"""GF027: bytes of a data file belong to no tensor."""

from __future__ import annotations

from graphfix.io.external import ORPHANED
from graphfix.lints.external import ExternalDataLint


class ExternalDataOrphaned(ExternalDataLint):
    """## What it does
    Looks for bytes that no tensor refers to: 65,536 or more in one piece, since smaller gaps are alignment, and only where no other model
    in the folder mentions the data file.

    ## Why is this bad?
    The file is larger than it has to be, often twice as large: ``onnx.save`` appends to an existing data file instead of replacing it.

    ## Example
    A model of 3 GB beside a data file of 6 GB.

    ## Use instead
    Save to a new folder, or remove the old data file first.

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
    """

    code = "GF027"
    name = "external-data-orphaned"
    level = "warning"
    kind = ORPHANED
