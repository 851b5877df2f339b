"""A backbone held against the model it replaces, config.json and the pipeline: a table of checks, each a function.

A check says what is wrong, what a pass can mend (and which), and what the pipeline must be called with. What would give another picture
without a word is refused and cannot be forced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isqrt
from typing import Any

import onnx_ir as ir

from graphfix import api, inference
from graphfix.lints.run import lint
from graphfix.model import shape_text, tensor_type
from graphfix.place import contract
from graphfix.place.folder import Folder
from graphfix.weight_axes import fixed_axes

OK, REPAIRED, WARNING, REFUSED = "ok", "repaired", "warning", "refused"
REPAIR = "repair"  # before the passes have run


@dataclass(frozen=True)
class Verdict:
    """What one check found.

    Attributes:
        check: Its name.
        level: ok, repaired, warning or refused.
        found: One sentence.
        why: What would happen.
        hint: What to type or to call the pipeline with.
        repair: The pass that mends it.
        options: The options of that pass.
        unmended: The level where the pass did not help.
        arguments: What the pipeline must be called with.
    """

    check: str
    level: str
    found: str
    why: str = ""
    hint: str = ""
    repair: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    unmended: str = REFUSED
    arguments: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Subject:
    """What checks may ask: the folder, the model that the folder was exported with, and the backbone."""

    folder: Folder
    config: Mapping[str, Any]
    working: ir.DataType | None
    old: ir.Model
    new: ir.Model

    @cached_property
    def before(self) -> dict[str, ir.Value]:
        """The inputs of the model that is replaced."""
        return _inputs(self.old)

    @cached_property
    def after(self) -> dict[str, ir.Value]:
        """The inputs of the backbone."""
        return _inputs(self.new)

    @cached_property
    def common(self) -> list[tuple[ir.Value, ir.Value]]:
        """Inputs that both have."""
        return [(value, self.after[name]) for name, value in self.before.items() if name in self.after]

    @cached_property
    def output(self) -> ir.Value | None:
        """The backbone's first output: the one that pipelines use."""
        return next(iter(self.new.graph.outputs), None)

    @cached_property
    def by_weight(self) -> dict[str, dict[int, int]]:
        """Axes of inputs that the weights behind them fix, whatever is declared."""
        types = inference.infer(self.new)
        return {name: dict(fixed_axes(value, types)) for name, value in self.after.items()}

    def size(self, value: ir.Value, axis: int) -> int | None:
        """The size that an input's axis must have: by the weight behind it, else as declared; None where it may vary."""
        declared = value.shape[axis] if value.shape is not None else None
        return self.by_weight[value.name or ""].get(axis, declared if isinstance(declared, int) else None)

    def axes(self, value: ir.Value) -> tuple[str, ...]:
        """What the axes of an input count."""
        rank = len(value.shape) if value.shape is not None else 0
        return contract.AXES.get((self.folder.component, value.name or "", rank), (contract.OTHER,) * rank)


def _inputs(model: ir.Model) -> dict[str, ir.Value]:
    return {value.name or "": value for value in model.graph.inputs if value.name not in model.graph.initializers}


def _input_names(s: Subject) -> Iterator[Verdict]:
    missing, extra = [n for n in s.before if n not in s.after], [n for n in s.after if n not in s.before]
    rename = (
        f"if they are the same: graphfix apply --passes io{{{extra[0]}={missing[0]}}} BACKBONE" if len(missing) == len(extra) == 1 else ""
    )
    for name in missing:
        why = "the pipeline's value would be ignored without a word, and the picture another one"
        yield Verdict("inputs", REFUSED, f"the backbone has no input {name!r}", why, rename or "export it with this input left open")
    for name in extra:
        why = "the pipeline does not feed it: 'Input ... is required by model but not provided'"
        yield Verdict("inputs", REFUSED, f"the backbone wants an input {name!r} more", why, rename or "export it without this input")
    for old, new in s.common:
        if old.uses() and not new.uses():
            why = "what the pipeline passes would not reach the picture"
            yield Verdict(
                "inputs", REFUSED, f"nothing in the backbone reads its input {new.name!r}", why, "export it with this input left open"
            )


def _input_sizes(s: Subject) -> Iterator[Verdict]:
    for old, new in s.common:
        if old.shape is None or new.shape is None:
            continue
        if len(old.shape) != len(new.shape):
            if (s.folder.component, new.name) not in contract.SCALAR_OR_NOT or len(old.shape) + len(new.shape) != 1:
                found = f"{new.name} has shape {shape_text(new.shape)} and {shape_text(old.shape)} in the model it replaces"
                yield Verdict("sizes", REFUSED, found, "the pipeline feeds the latter", "export the backbone for this pipeline")
            continue
        for axis, dim in enumerate(old.shape):
            size = s.size(new, axis)
            if isinstance(dim, int) and size is not None and size != dim:
                found = f"axis {axis} of {new.name} is {size}, and {dim} in the model it replaces"
                yield Verdict("sizes", REFUSED, found, f"the pipeline feeds {dim}", "is this the backbone of another model?")


def _config(s: Subject) -> Iterator[Verdict]:
    for new in s.after.values():
        for axis, role in enumerate(s.axes(new)):
            key = contract.CONFIG.get((s.folder.component, role), "")
            wanted, size = s.config.get(key), s.size(new, axis) if key else None
            if isinstance(wanted, int) and size is not None and size != wanted:
                found = f"config.json says {key} {wanted}, and the backbone's {new.name} takes {size}"
                yield Verdict(
                    "config.json", REFUSED, found, "the pipeline computes with config.json", "is this the backbone of another model?"
                )
    guided = s.config.get("guidance_embeds")
    if guided is not None and bool(guided) != ("guidance" in s.after):
        has = "an" if "guidance" in s.after else "no"
        found = f"config.json says guidance_embeds {str(guided).lower()}, and the backbone has {has} input 'guidance'"
        hint = "export the backbone of this checkpoint"
        yield Verdict("config.json", REFUSED, found, "the pipeline feeds guidance by config.json", hint)


def _types(s: Subject) -> Iterator[Verdict]:
    working = s.working or (tensor_type(s.old.graph.outputs[0]) if s.old.graph.outputs else None)
    for value in s.after.values():
        kind = tensor_type(value)
        if kind in contract.CASTABLE:
            continue
        found, why = f"input {value.name} is {kind.name if kind else 'of no known type'}", "optimum cannot make an array of it"
        if kind == ir.DataType.BFLOAT16 and working in contract.FLOATS:
            yield Verdict("types", REPAIR, found, why, repair="io-types", options={value.name or "": working.name})
        else:
            yield Verdict("types", REFUSED, found, why, "export it with FLOAT16 or FLOAT inputs")
    kind = tensor_type(s.output) if s.output is not None else None
    if s.output is not None and working in contract.FLOATS and kind != working:
        found = f"output {s.output.name} is {kind.name if kind else 'of no known type'}, and the pipeline works in {working.name}"
        why = s.folder.use.mistyped
        if kind in contract.FLOATS or kind == ir.DataType.BFLOAT16:
            yield Verdict("types", REPAIR, found, why, repair="io-types", options={s.output.name or "": working.name})
        else:
            yield Verdict("types", REFUSED, found, why, f"export it with a {working.name} output")


def _output_name(s: Subject) -> Iterator[Verdict]:
    use = s.folder.use
    if s.output is None:
        yield Verdict("output", REFUSED, "the backbone has no output")
    elif s.output.name != use.output:
        found = f"the output is called {s.output.name!r} and must be called {use.output!r}"
        yield Verdict("output", REPAIR, found, use.why, repair="io", options={s.output.name or "": use.output})


def _output_axes(s: Subject) -> Iterator[Verdict]:
    image = s.after.get(s.folder.use.image)
    if s.output is None or image is None or image.shape is None:
        return
    shape, roles = s.output.shape, s.axes(image)
    if shape is None or len(shape) != len(image.shape):
        found = f"the output has shape {shape_text(shape)}, and {image.name} {shape_text(image.shape)}"
        yield Verdict("output axes", REFUSED, found, "a denoiser returns what it is given, denoised", "is the picture its first output?")
        return
    if any(a != b for a, b, role in zip(shape, image.shape, roles, strict=True) if role != contract.CHANNELS):
        found = f"the output's axes are {shape_text(shape)}, and {shape_text(image.shape)} of {image.name}, which it has the size of"
        why = "IO binding computes the output's size from these names: NameError, or a picture of another size"
        yield Verdict("output axes", REPAIR, found, why, repair="io", options={"like": s.folder.use.image})


def _token_count(s: Subject) -> Iterator[Verdict]:
    # The pass sees more than the lint: it knows the rotary embedding by its structure, whatever its sizes are.
    frozen, why = api.apply(s.new, "rotary").changes, "it runs at the traced picture size and text length only"
    if frozen:
        found = f"{len(frozen)} Reshapes fix the number of tokens that the backbone was traced with, the first: {frozen[0].where}"
        yield Verdict("tokens", REPAIR, found, why, repair="rotary", unmended=WARNING)
        return
    left = lint(s.new, select=["GF031"]).findings
    if left:
        yield Verdict(
            "tokens", WARNING, f"{len(left)} Reshapes fix a number of tokens, the first: {left[0].where}", why, "graphfix explain GF031"
        )


def _fixed(s: Subject) -> Iterator[Verdict]:
    """Axes that vary in the model that is replaced and do not in the backbone."""
    fixed: dict[str, dict[str, int]] = {}
    for old, new in s.common:
        if old.shape is None or new.shape is None or len(old.shape) != len(new.shape):
            continue
        for axis, (role, dim) in enumerate(zip(s.axes(new), new.shape, strict=True)):
            if isinstance(dim, int) and not isinstance(old.shape[axis], int):
                fixed.setdefault(role, {})[new.name or ""] = dim
    for role, sizes in fixed.items():
        if len(set(sizes.values())) > 1:
            found = f"{role or 'axes'} fixed to different numbers: " + ", ".join(f"{name} {n}" for name, n in sizes.items())
            yield Verdict(
                "fixed sizes", REFUSED, found, "no call of the pipeline feeds such inputs", "export it with one number, or dynamic"
            )
            continue
        size = next(iter(sizes.values()))
        explain = _FIXED.get(role)
        yield explain(s, size) if explain is not None else _unexplained(", ".join(sizes), size)


def _fixed_batch(s: Subject, size: int) -> Verdict:
    found = f"the batch is fixed to {size}"
    if not s.folder.use.guided:
        return Verdict(
            "fixed sizes", WARNING, found, "any other fails", f"call it with {size} picture(s) at a time: num_images_per_prompt={size}"
        )
    why = "guidance doubles the batch: the pipeline feeds 2 for each picture"
    if size % 2:
        return Verdict(
            "fixed sizes", WARNING, found, why, f"call it with guidance_scale=1.0 and {size} picture(s), or export a dynamic batch"
        )
    return Verdict("fixed sizes", WARNING, found, why, f"call it with guidance and num_images_per_prompt={size // 2}")


def _fixed_text(s: Subject, size: int) -> Verdict:
    clip = s.folder.clip_tokens()
    found = f"the text is fixed to {size} tokens"
    if s.folder.component == "unet":
        if size == clip:
            return Verdict("fixed sizes", OK, found)
        return Verdict("fixed sizes", REFUSED, found, f"the pipeline always feeds {clip}", f"export it with {clip} tokens")
    # SD3 puts T5's tokens behind CLIP's; Flux passes those of T5 alone.
    length = size if "Flux" in s.folder.pipeline else size - clip
    if length < 1:
        return Verdict("fixed sizes", REFUSED, found, f"the pipeline feeds {clip} of CLIP and those of T5", "export it with more tokens")
    argument = {"max_sequence_length": length}
    return Verdict(
        "fixed sizes", WARNING, found, "any other number fails", f"call it with max_sequence_length={length}", arguments=argument
    )


def _fixed_edge(argument: str) -> Callable[[Subject, int], Verdict]:
    def explain(s: Subject, size: int) -> Verdict:
        pixels = size * s.folder.pixels()
        found = f"the picture's {argument} is fixed to {pixels} pixels"
        return Verdict("fixed sizes", WARNING, found, "any other fails", f"call it with {argument}={pixels}", arguments={argument: pixels})

    return explain


def _fixed_tokens(s: Subject, size: int) -> Verdict:
    edge = 2 * s.folder.pixels()
    found, side = f"the picture is fixed to {size} tokens of {edge}x{edge} pixels", isqrt(size)
    square = (
        f"height={side * edge}, width={side * edge}" if side * side == size else f"a height and width whose product is {size * edge * edge}"
    )
    return Verdict("fixed sizes", WARNING, found, "any other number fails", f"call it with {square}")


def _fixed_step(_: Subject, size: int) -> Verdict:
    found = f"the timestep is fixed to {size} numbers"
    if size == 1:
        return Verdict("fixed sizes", OK, found)
    return Verdict("fixed sizes", REFUSED, found, "the pipeline feeds one", "export it with one, or a dynamic axis")


def _unexplained(names: str, size: int) -> Verdict:
    found = f"an axis of {names} is fixed to {size} and varies in the model it replaces"
    return Verdict("fixed sizes", WARNING, found, "any other size fails", "export it with a dynamic axis")


_FIXED: Mapping[str, Callable[[Subject, int], Verdict]] = {
    contract.BATCH: _fixed_batch,
    contract.TEXT: _fixed_text,
    contract.HEIGHT: _fixed_edge("height"),
    contract.WIDTH: _fixed_edge("width"),
    contract.TOKENS: _fixed_tokens,
    contract.STEP: _fixed_step,
}


def _loads(s: Subject) -> Iterator[Verdict]:
    errors = [f for f in lint(s.new).findings if f.level == "error"]
    if errors:
        found = f"{len(errors)} errors, the first: {errors[0].message} [{errors[0].code}] at {errors[0].where}"
        yield Verdict(
            "lints", REFUSED, found, "ONNX Runtime or TensorRT-RTX will not load it", "graphfix apply BACKBONE, and place the result"
        )


@dataclass(frozen=True)
class Check:
    """A check, and what it says when it has nothing to say."""

    name: str
    passed: str
    run: Callable[[Subject], Iterable[Verdict]]


CHECKS = (
    Check("inputs", "named as in the model it replaces, none lost, none more", _input_names),
    Check("sizes", "ranks and fixed sizes as in the model it replaces", _input_sizes),
    Check("config.json", "agrees with the graph", _config),
    Check("types", "the pipeline can feed and read them", _types),
    Check("output", "called what the pipeline expects", _output_name),
    Check("output axes", "those of the input that it has the size of", _output_axes),
    Check("tokens", "their number follows the input", _token_count),
    Check("fixed sizes", "none that vary in the model it replaces", _fixed),
    Check("lints", "no errors", _loads),
)
# A graph whose interface is another one is not worth a closer look, and what is behind would only be echoes.
FIRST = frozenset({"inputs", "sizes"})


def examine(subject: Subject) -> list[Verdict]:
    """Every check on a backbone; one verdict at least for each that ran."""
    verdicts: list[Verdict] = []
    for check in CHECKS:
        if check.name not in FIRST and any(v.level == REFUSED for v in verdicts if v.check in FIRST):
            break
        verdicts += list(check.run(subject)) or [Verdict(check.name, OK, check.passed)]
    return verdicts
