"""GF029: a data file is a symlink or has several hard links."""

from __future__ import annotations

from graphfix.io.external import LINK
from graphfix.lints.external import ExternalDataLint


class ExternalDataIsLink(ExternalDataLint):
    """## What it does
    Looks for data files that are symbolic links or have more than one hard link.

    ## Why is this bad?
    onnx's loader and checker refuse them: ``should be stored in ..., but it has multiple hard links``. Caches of downloaded models and
    some backup tools make such links.

    ## Example
    ``ln -s /cache/blob model.onnx_data``

    ## Use instead
    ``cp -L`` of the folder, or a reflink (``cp --reflink``), which is a file of its own.

    ## References
    - https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
    """

    code = "GF029"
    name = "external-data-is-link"
    level = "warning"
    kind = LINK
