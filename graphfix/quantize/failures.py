"""Known failures of the road from diffusers to ONNX, each as one sentence with the command that mends it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from graphfix.errors import GraphfixError, ModelError, UnavailableError

EXTRA = 'pip install "graphfix[quantize]"'


@dataclass(frozen=True)
class Known:
    """A failure by what its message contains.

    Attributes:
        signs: All of them are in the exception's type or message.
        what: The sentence.
        hint: What to type next.
        environment: Whether this machine is the cause (exit code 3) and not the model (1).
    """

    signs: tuple[str, ...]
    what: str
    hint: str
    environment: bool = True


KNOWN = (
    Known(("OutOfMemoryError",), "the GPU has too little memory", "--device cpu, or smaller --size values"),
    Known(("can't allocate memory",), "this machine has too little memory", "a machine with more memory, or --size with smaller values"),
    Known(("MemoryError",), "this machine has too little memory", "a machine with more memory, or --size with smaller values"),
    Known(("No space left on device",), "the disk is full", "free space, or choose another -o"),
    Known(
        ("no kernel image is available",),
        "the installed build has no kernels for this GPU",
        "install the torch that fits the GPU (https://pytorch.org/get-started), or --device cpu",
    ),
    Known(("Torch not compiled with CUDA",), "the installed torch has no CUDA", "install a CUDA build of torch, or --device cpu"),
    Known(("Found no NVIDIA driver",), "there is no NVIDIA driver", "install it, or --device cpu"),
    Known(("CLIPSdpaAttention",), "optimum is too old for the installed transformers", 'pip install -U "optimum-onnx>=0.0.1"'),
    Known(
        ("No module named 'onnx_utils",),
        "another package's onnx_utils hides the one that is meant",
        "run graphfix quantize in an environment of its own; it needs no onnx_utils",
    ),
    Known(("aten::rms_norm", "UnsupportedOperatorError"), "the exporter cannot write RMSNorm", "pip install -U graphfix torch"),
    Known(
        ("UnsupportedOperatorError",),
        "torch's exporter has no ONNX form for an operator of this model",
        "pip install -U torch, or replace the operator in the model",
        environment=False,
    ),
    Known(
        ("no file named", "diffusion_pytorch_model"),
        "the folder holds no weights",
        "name the folder that does, or --random-weights 0 to try the road without",
        environment=False,
    ),
    Known(("nsupported", "opset"), "the installed torch cannot export opset 20", "pip install -U torch"),
    Known(("accelerate",), "accelerate is missing", "pip install accelerate"),
    Known(("sentencepiece",), "sentencepiece is missing, which the pipeline's tokenizer needs", "pip install sentencepiece"),
    Known(("Cannot reach", "huggingface"), "the hub cannot be reached", "a local folder instead of an id, or check the network"),
    Known(("LocalEntryNotFoundError",), "the hub cannot be reached and the model is not in the cache", "a local folder instead of an id"),
    Known(("RepositoryNotFoundError",), "the hub has no such model, or not for you", "check the id, or: hf auth login"),
    Known(("GatedRepoError",), "the model's owner asks for an agreement first", "accept it on the model's page, then: hf auth login"),
    Known(("CUDA tensor", "dynamic block quantization"), "ModelOpt quantizes blocks on a GPU only", "pip install -U graphfix"),
    Known(("lora_layer",), "the model carries LoRA layers that are not merged", "fuse them first: pipeline.fuse_lora()", environment=False),
)


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn an exception of torch, diffusers or ModelOpt into one of ours.

    Args:
        doing: What was going on, as in "exporting the graph".

    Raises:
        UnavailableError: A package is missing, or a known failure has this machine as its cause.
        ModelError: Anything else: the model cannot be taken this way.
    """
    try:
        yield
    except (GraphfixError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise translate(error, doing) from error


def translate(error: BaseException, doing: str) -> GraphfixError:
    """The sentence for an exception: from the table, for a missing package, or the exception's own first line."""
    text = f"{type(error).__name__}: {error}"
    for known in KNOWN:
        if all(sign in text for sign in known.signs):
            kind = UnavailableError if known.environment else ModelError
            return kind(known.what, where=doing, why=_first_line(text), hint=known.hint)
    if isinstance(error, ModuleNotFoundError):
        return UnavailableError(f"{error.name} is not installed", where=doing, hint=EXTRA)
    if isinstance(error, ImportError):
        return UnavailableError("an installed package does not fit the others", where=doing, why=_first_line(text), hint=EXTRA)
    return ModelError(f"{doing} failed", why=_first_line(text), hint="graphfix doctor shows the installed versions")


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:300]
