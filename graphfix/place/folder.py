"""The folder that optimum exports a pipeline to, as far as a backbone must know it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from graphfix.errors import ModelError, UsageError
from graphfix.place.contract import FLOATS, Backbone, backbone
from graphfix.place.headers import outputs

COMPONENTS = ("transformer", "unet")
MODEL, CONFIG, INDEX = "model.onnx", "config.json", "model_index.json"
CLIP_TOKENS = 77  # of CLIP's position embedding; what tokenizer_config.json says counts more
VAE_HALVINGS = 3  # of SD3's, Flux' and SDXL's VAE


@dataclass(frozen=True)
class Folder:
    """A pipeline's folder and the component in it that a backbone replaces.

    Attributes:
        root: The pipeline's folder.
        component: ``transformer`` or ``unet``.
        pipeline: The pipeline's class, as ``model_index.json`` has it.
        use: How pipelines of this class use their backbone.
    """

    root: Path
    component: str
    pipeline: str
    use: Backbone

    @property
    def path(self) -> Path:
        """The component's folder."""
        return self.root / self.component

    def config(self) -> dict[str, Any]:
        """The component's config.json.

        Raises:
            ModelError: It is missing or no JSON object; optimum does not load a component without it.
        """
        if not (self.path / CONFIG).is_file():
            raise ModelError(f"there is no {self.component}/{CONFIG}", why="optimum does not load a backbone without it")
        return _json(self.path / CONFIG)

    def working_type(self) -> ir.DataType | None:
        """The element type that the pipeline keeps latents in: the widest that its text encoders return; None without any."""
        found = set()
        for path in sorted(self.root.glob(f"text_encoder*/{MODEL}")):
            types = [ir.DataType(value.type.tensor_type.elem_type) for value in outputs(path)]
            found |= set(types[:1])
        return next((kind for kind in reversed(FLOATS) if kind in found), None)

    def clip_tokens(self) -> int:
        """How many text tokens CLIP contributes."""
        path = self.root / "tokenizer" / "tokenizer_config.json"
        length = _json(path).get("model_max_length") if path.is_file() else None
        return length if isinstance(length, int) and length < 1 << 20 else CLIP_TOKENS

    def pixels(self) -> int:
        """How many pixels a latent is high and wide."""
        path = self.root / "vae_decoder" / CONFIG
        blocks = _json(path).get("block_out_channels") if path.is_file() else None
        return int(2 ** (len(blocks) - 1 if isinstance(blocks, list) and blocks else VAE_HALVINGS))


def find(root: Path, component: str = "") -> Folder:
    """Recognize a pipeline's folder.

    Args:
        root: The folder with ``model_index.json``.
        component: ``transformer`` or ``unet``; found where empty.

    Raises:
        UsageError: It is no such folder, or it does not have the component.
        ModelError: ``model_index.json`` cannot be read.
    """
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder", hint="name the folder that optimum exported the pipeline to")
    if not (root / INDEX).is_file():
        above = root.resolve().parent
        hint = f"graphfix place BACKBONE {above}" if (above / INDEX).is_file() else "name the folder that optimum exported the pipeline to"
        raise UsageError(f"{root} has no {INDEX}", why="a pipeline's folder has one", hint=hint)
    if component and component not in COMPONENTS:
        raise UsageError(f"--component {component}", hint=f"--component {' or '.join(COMPONENTS)}")
    index = _json(root / INDEX)
    there = [name for name in COMPONENTS if (root / name).is_dir()]
    listed = [name for name in there if index.get(name)]
    wanted = [component] if component else (listed or there)
    if len(wanted) != 1 or wanted[0] not in there:
        has = ", ".join(sorted(path.name for path in root.iterdir() if path.is_dir())) or "none"
        what = f"{root} has both {' and '.join(wanted)}" if len(wanted) > 1 else f"{root} has no {component or ' or '.join(COMPONENTS)}"
        hint = f"--component {' or '.join(there)}" if there else "export it: optimum-cli export onnx --model MODEL --opset 20 FOLDER"
        raise UsageError(what, why=f"folders in it: {has}", hint=hint)
    pipeline = str(index.get("_class_name", ""))
    return Folder(root, wanted[0], pipeline, backbone(wanted[0], pipeline))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"{path} cannot be read", why=str(error)) from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no JSON object")
    return found
