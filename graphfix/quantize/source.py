"""Where the model is: a folder of diffusers, one component of it, or an id on the Hugging Face hub."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphfix.errors import ModelError, UsageError
from graphfix.quantize import failures

if TYPE_CHECKING:
    import torch

COMPONENTS = ("transformer", "unet")
DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}


@dataclass(frozen=True)
class Source:
    """A backbone that was found.

    Attributes:
        location: The folder, or the id on the hub.
        component: The subfolder that holds the backbone; empty where ``location`` itself does.
        config: Its config.json.
    """

    location: str
    component: str
    config: dict[str, Any]

    @property
    def cls(self) -> str:
        """The class of diffusers that the config names."""
        return str(self.config["_class_name"])

    @property
    def name(self) -> str:
        """What to call it in messages and files: the last part of the location."""
        return Path(self.location).resolve().name if Path(self.location).exists() else self.location


def find(model: str, component: str = "") -> Source:
    """The backbone in a folder or on the hub.

    Args:
        model: A pipeline's folder (with model_index.json), a component's folder (with config.json), or ``owner/name`` on the hub.
        component: Which part of the pipeline; found by itself where it is empty.

    Raises:
        UsageError: There is no such model, or no such component.
        UnavailableError: The hub cannot be reached, or the package that asks it is missing.
    """
    folder = Path(model)
    if folder.is_dir():
        return _local(folder, component)
    if folder.suffix or model.count("/") != 1 or folder.exists():
        raise UsageError(f"no folder {model}", hint="a diffusers folder with model_index.json, or owner/name on the hub")
    return _hub(model, component)


def _local(folder: Path, component: str) -> Source:
    places = [component] if component else ["", *COMPONENTS]
    for place in places:
        path = folder / place / "config.json"
        if path.is_file():
            try:
                config = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ModelError(f"{path} is no JSON", why=str(error)) from error
            if isinstance(config, dict) and "_class_name" in config:
                return Source(str(folder), place, config)
    looked = ", ".join(str(Path(place) / "config.json") for place in places)
    raise UsageError(
        f"no backbone in {folder}", why=f"looked for {looked} with a _class_name", hint="name the part of the pipeline with --component"
    )


def _hub(model: str, component: str) -> Source:
    with failures.explained("reading the model's config"):
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        for place in [component] if component else COMPONENTS:
            try:
                path = hf_hub_download(model, "config.json", subfolder=place)
            except LocalEntryNotFoundError:  # a kind of the next one, and means that nobody could be asked
                raise
            except EntryNotFoundError:
                continue
            return Source(model, place, json.loads(Path(path).read_text(encoding="utf-8")))
    raise UsageError(f"{model} has no {component or ' or '.join(COMPONENTS)}", hint="name the part of the pipeline with --component")


def load(source: Source, dtype: str, device: str, random_weights: int | None = None) -> torch.nn.Module:
    """The backbone as a torch module, in evaluation mode, every weight of the type that was asked for.

    Args:
        source: Where it is.
        dtype: ``fp16``, ``bf16`` or ``fp32``.
        device: ``cpu`` or ``cuda``.
        random_weights: A seed: make the architecture with random weights and read none.

    Raises:
        UnavailableError: diffusers or torch is missing, or memory does not suffice.
        UsageError: diffusers has no such class.
    """
    with failures.explained("loading the model"):
        import diffusers
        import torch

        cls = getattr(diffusers, source.cls, None)
        if cls is None:
            raise UsageError(f"diffusers {diffusers.__version__} has no {source.cls}", hint="pip install -U diffusers")
        kind = getattr(torch, DTYPES[dtype])
        if random_weights is None:
            module = cls.from_pretrained(source.location, subfolder=source.component or None, torch_dtype=kind)
        else:
            module = _random(cls, source.config, random_weights, kind)
        # Without accelerate, from_pretrained leaves some classes in float32 whatever was asked.
        made: torch.nn.Module = module.to(device=device, dtype=kind).eval()
        return made


def _random(cls: Any, config: dict[str, Any], seed: int, kind: torch.dtype) -> torch.nn.Module:
    """The architecture with normal weights of the spread that training begins with, made in their final type.

    Initial weights are uniform: all of a layer's neighbours share their largest value, and with it their scales, as no trained weights do.
    """
    import torch

    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        module: torch.nn.Module = cls.from_config(config)
    finally:
        torch.set_default_dtype(before)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn(parameter.shape, dtype=torch.float32) * parameter.float().std())
    return module
