"""Every version of every operator, before and after: the node cases set back to old versions, varied, and put into every kind of scope.

A case counts once it is valid at its old opset: the checker accepts it and an engine runs it. It is then migrated, checked, and run by the
same engine. Coverage is counted in pairs of operator and version.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import onnx
import onnx.defs

from conformance import scopes, seeds
from conformance.peer_tests import Converter
from conformance.running import RANDOM, all_same, attempt, opset, with_reference, with_runtime
from conformance.seeds import Seed

# onnx 1.23.2: version 18 of the first is deprecated, so the checker refuses it; the body of the second does not infer from 13 on.
UNINFERABLE = "MeanVarianceNormalization"
CHECKER_IS_WRONG = {"GroupNormalization", UNINFERABLE}
# The reference evaluator reads RoiAlign-10 as if it centred pixels; ONNX Runtime has no kernel from 22 on that could be asked instead.
REFERENCE_IS_WRONG = {"RoiAlign"}
# A runtime may report an unused mask as it likes: ONNX Runtime's is all false up to opset 11 and all true from 12 on.
UNSPECIFIED = {("Dropout", 1)}
# From this opset on ONNX Runtime computes the operator by its function body, which rounds float16 once more.
BY_ITS_BODY = {"Attention": 25}


@dataclass
class Score:
    """What came of the cases.

    Attributes:
        counts: Cases by outcome: same, refused, no kernel, wrong, invalid.
        covered: The pairs of operator and version with a case whose numbers were compared.
        pairs: All pairs that there are.
        problems: Every case that was wrong, invalid or refused.
    """

    counts: Counter[str] = field(default_factory=Counter)
    covered: set[tuple[str, int]] = field(default_factory=set)
    pairs: set[tuple[str, int]] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


@cache
def spans(lowest: int, highest: int) -> dict[tuple[str, int], range]:
    """For every operator and version, the opsets from ``lowest`` to ``highest`` at which it holds."""
    history: dict[str, list[onnx.defs.OpSchema]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            history.setdefault(schema.name, []).append(schema)
    found = {}
    for op, schemas in history.items():
        schemas.sort(key=lambda s: s.since_version)
        for schema, following in itertools.zip_longest(schemas, schemas[1:]):
            end = following.since_version - 1 if following else highest
            span = range(max(schema.since_version, lowest), min(end, highest) + 1)
            if span and not (schema.deprecated and following is None):
                found[op, schema.since_version] = span
    return found


def measure(
    converter: Converter,
    target: int,
    *,
    lowest: int = 7,
    highest: int | None = None,
    limit: int = 40,
    wraps: tuple[str, ...] = tuple(scopes.WRAPS),
    only: set[str] | None = None,
    show: Callable[[str], None] | None = None,
) -> Score:
    """Run the corpus: at most ``limit`` cases for each pair, each in every kind of scope."""
    score = Score(pairs=set(spans(lowest, highest or target - 1)))
    by_op: dict[str, list[Seed]] = {}
    for seed in seeds.collect():
        by_op.setdefault(seed.op_type, []).append(seed)
    for (op, version), span in sorted(spans(lowest, highest or target - 1).items()):
        if only is not None and op not in only:
            continue
        for i, seed in enumerate(_varied(by_op.get(op, []), version, span, limit)):
            for wrap in wraps:
                outcome, why = _one(seed, wrap, converter, target)
                score.counts[outcome] += 1
                if outcome == "same":
                    score.covered.add((op, version))
                if outcome in {"wrong", "invalid", "refused"}:
                    score.problems.append(f"{outcome}: {op}-{version} case {i} of {seed.name} [{wrap}]: {why}")
                    if show is not None:
                        show(score.problems[-1])
    return score


def measure_down(
    converter: Converter,
    source: int,
    targets: tuple[int, ...],
    *,
    limit: int = 12,
    wraps: tuple[str, ...] = ("plain", "if", "function"),
    only: set[str] | None = None,
    show: Callable[[str], None] | None = None,
) -> dict[int, Score]:
    """The same cases at ``source``, taken down to each target; a case that was compared covers its operator's version at the target."""
    scores = {target: Score() for target in targets}
    by_op: dict[str, list[Seed]] = {}
    for seed in seeds.collect():
        by_op.setdefault(seed.op_type, []).append(seed)
    for (op, version), span in sorted(spans(source, source).items()):
        if only is not None and op not in only:
            continue
        for i, seed in enumerate(_varied(by_op.get(op, []), version, span, limit)):
            for target, wrap in itertools.product(targets, wraps):
                score = scores[target]
                score.pairs.add((op, version))
                outcome, why = _one(seed, wrap, converter, target)
                score.counts[outcome] += 1
                if outcome == "same":
                    score.covered.add((op, version))
                if outcome in {"wrong", "invalid", "refused"}:
                    score.problems.append(f"{outcome}: {source} to {target}: {op}-{version} case {i} of {seed.name} [{wrap}]: {why}")
                    if show is not None:
                        show(score.problems[-1])
    return scores


def _varied(found: list[Seed], version: int, span: range, limit: int) -> Iterator[Seed]:
    """Valid cases for one pair, taken in turn from the variants of every seed, at the lowest and highest opset of its span."""
    ends = itertools.cycle(sorted({span[0], span[-1]}))
    streams = [seeds.variants(seed, version) for seed in found]
    kept, seen = 0, set[bytes]()
    tries = 0
    while streams and kept < limit and tries < 20 * limit:
        for stream in tuple(streams):
            variant = next(stream, None)
            if variant is None:
                streams.remove(stream)
                continue
            tries += 1
            ready = seeds.at_opset(variant, next(ends))
            if ready is None or (key := ready.key()) in seen:
                continue
            seen.add(key)
            if _expected(ready) is not None:
                kept += 1
                yield ready
                if kept >= limit:
                    return


Engine = Callable[[onnx.ModelProto, Any], list[Any]]


def _expected(seed: Seed) -> tuple[Engine, list[Any]] | None:
    """Who runs the case before, and its results; None where the case is not valid."""
    if seed.op_type not in CHECKER_IS_WRONG:
        try:
            onnx.checker.check_model(seed.model, full_check=True)
        except Exception:  # noqa: BLE001 - the checker raises several kinds
            return None
    for engine in (with_runtime, with_reference):
        results = attempt(engine, seed.model, seed.feeds)
        if not isinstance(results, str):
            again = attempt(engine, seed.model, seed.feeds)
            return (engine, results) if not isinstance(again, str) and all_same(results, again) else None
    return None


def _one(seed: Seed, wrap: str, converter: Converter, target: int) -> tuple[str, str]:
    before = scopes.WRAPS[wrap](seed.model)
    if before is None:
        return "not applicable", ""
    feeds = {**seed.feeds, **scopes.extra_feeds(before)}
    for engine in (with_runtime, with_reference):
        wanted = attempt(engine, before, feeds)
        if not isinstance(wanted, str):
            break
    else:
        return "not applicable", ""
    if engine is with_reference and seed.op_type in REFERENCE_IS_WRONG:
        return "no kernel", ""
    try:
        after = converter(before, target)
    except RuntimeError as error:
        return "refused", str(error).replace("\n", " ")
    problem = _invalid(seed, before, after, target)
    if problem:
        return "invalid", problem
    got = attempt(engine, after, feeds)
    tolerance = 1e-3 if target >= BY_ITS_BODY.get(seed.op_type, target + 1) else 1e-6
    if isinstance(got, str):
        if seed.op_type == UNINFERABLE and "ShapeInferenceError" in got:
            return "no kernel", ""
        if "NOT_IMPLEMENTED" not in got and "NotImplemented" not in got:
            return "invalid", got
        tolerance, got = 1e-3, attempt(with_reference, after, feeds)
        if isinstance(got, str) or seed.op_type in RANDOM:
            return "no kernel", ""
        wanted, got = _bare(wanted), _bare(got)  # an optional value is a list of one to the evaluator
    for i, (a, b) in enumerate(zip(wanted, got, strict=True)):
        if (seed.op_type, i) not in UNSPECIFIED and not all_same([a], [b], tolerance):
            return "wrong", f"output {i}"
    return "same", ""


def _bare(value: Any) -> Any:
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, list) else [value]


def _invalid(seed: Seed, before: onnx.ModelProto, after: onnx.ModelProto, target: int) -> str:
    if opset(after) != target or any(e.version != target for f in after.functions for e in f.opset_import if e.domain == ""):
        return "the opset was not set"
    if [v.name for v in before.graph.output] != [v.name for v in after.graph.output]:
        return "outputs renamed"
    try:
        onnx.checker.check_model(after, full_check=seed.op_type not in CHECKER_IS_WRONG)
    except Exception as error:  # noqa: BLE001 - the checker raises several kinds
        text = str(error).strip().splitlines()[0]
        return "" if seed.op_type in CHECKER_IS_WRONG and "deprecated" in text else text
    return ""
