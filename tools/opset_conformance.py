"""Measure the opset pass against onnx's own tests and cases, and against cases of our own; write docs/opset_conformance.md.

    python tools/opset_conformance.py                  everything, and the table
    python tools/opset_conformance.py --peer --nodes   only those corpora, printed
    python tools/opset_conformance.py --differential 4 at most 4 cases for each operator and version
    python tools/opset_conformance.py --down 4         the way down, at most 4 cases for each operator

Exits 1 where a number is below what docs/opset_conformance.md promises. onnx's tests come from its source distribution, which pip
downloads into ``--cache`` (nothing of it belongs in this repository).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import onnx
import onnx.version_converter
import onnxruntime
from conformance import differential, node_cases, peer_tests, scopes
from conformance.running import opset

import graphfix

DOCUMENT = Path(__file__).parents[1] / "docs" / "opset_conformance.md"
NO_KERNEL = "Could not find an implementation"
# At least this many of onnx's upgrade tests are clean, by target.
PROMISED = {23: 243, 28: 252}
PROMISED_PAIRS = 456
DOWN_TO = (22, 21, 20, 18, 17, 15, 13, 12, 11)
Rows = list[tuple[str, ...]]


def with_graphfix(model: onnx.ModelProto, target: int) -> onnx.ModelProto:
    """The opset pass."""
    return graphfix.apply(model, f"opset{target}").model


def with_a_bump(model: onnx.ModelProto, target: int) -> onnx.ModelProto:
    """What happens when only the number changes."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for entry in copy.opset_import:
        if entry.domain == "":
            entry.version = target
    return copy


CONVERTERS = {
    "graphfix": with_graphfix,
    "onnx.version_converter": onnx.version_converter.convert_version,
    "only the number": with_a_bump,
}


def peer(cache: Path, converters: dict[str, peer_tests.Converter]) -> tuple[Rows, list[str], bool]:
    """onnx's own upgrade tests: rows, the tests that are not clean under graphfix, and whether the promise holds."""
    suite = peer_tests.fetch(cache)
    rows, unclean, kept = Rows(), list[str](), True
    for target, promised in PROMISED.items():
        for name, converter in converters.items():
            outcomes = peer_tests.run(suite, converter, target)
            clean = [o for o in outcomes if not o.problem]
            kernels = [o for o in outcomes if NO_KERNEL in o.problem]
            rows.append((str(target), name, str(len(outcomes)), str(sum(o.passed for o in outcomes)), str(len(clean)), str(len(kernels))))
            if name == "graphfix":
                kept &= len(clean) >= promised
                unclean += [f"{target}: {o.test}: {o.problem}" for o in outcomes if o.problem]
    return rows, unclean, kept


def nodes(converters: dict[str, peer_tests.Converter], target: int = 23) -> tuple[Rows, list[str], bool]:
    """onnx's node cases below ``target``: rows, problems, and whether all that run before run the same after."""
    tally = {name: Counter[str]() for name in converters}
    problems, runnable = list[str](), 0
    for case in node_cases.cases(below=target):
        if node_cases.verdict(case) != "same":
            continue
        runnable += 1
        for name, converter in converters.items():
            try:
                after = converter(case.model, target)
                result = node_cases.verdict(case, after) if opset(after) == target else "wrong opset"
            except RuntimeError as error:
                result = str(error).splitlines()[0]
            tally[name]["same" if result == "same" else "other"] += 1
            if name == "graphfix" and result != "same":
                problems.append(f"{case.name}: {result}")
    rows = [(name, str(runnable), str(count["same"])) for name, count in tally.items()]
    return rows, problems, not problems


def cases(limit: int, target: int = 23) -> tuple[Rows, list[str], bool]:
    """Our own corpus: rows, problems, and whether nothing is wrong or invalid and enough pairs are covered."""
    score = differential.measure(with_graphfix, target, limit=limit)
    bad = score.counts["wrong"] + score.counts["invalid"]
    names = ("same", "no kernel", "refused", "wrong", "invalid")
    rows = [(f"{len(score.covered)} of {len(score.pairs)}", *(str(score.counts[name]) for name in names))]
    return rows, score.problems, not bad and len(score.covered) >= min(PROMISED_PAIRS, len(score.pairs))


def downward(limit: int, source: int = 23) -> tuple[Rows, list[str], bool]:
    """Our own corpus on the way down: rows, problems other than refusals, and whether there are none."""
    scores = differential.measure_down(with_graphfix, source, DOWN_TO, limit=limit)
    names = ("same", "no kernel", "refused", "wrong", "invalid")
    rows = [
        (f"{source} to {target}", f"{len(score.covered)} of {len(score.pairs)}", *(str(score.counts[name]) for name in names))
        for target, score in scores.items()
    ]
    problems = [p for score in scores.values() for p in score.problems if not p.startswith("refused")]
    return rows, problems, not problems


def table(head: tuple[str, ...], rows: Rows) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows))


def listed(items: list[str]) -> str:
    """A Markdown list, or a word for nothing."""
    return "\n".join(f"- {' '.join(item.split())}" for item in items) or "None."


TEXT = """# How the opset pass is measured

`python tools/opset_conformance.py` writes this page. onnx {onnx}, ONNX Runtime {ort} on the CPU without graph optimizations; its
reference evaluator where ONNX Runtime does not run a case.

## onnx's own upgrade tests

`tests/python/version_converter/automatic_upgrade_test.py` of onnx's source distribution, with another converter standing in for
`onnx.version_converter.convert_version`. *Clean*: the test's own assertions hold, the opset is the target, the model runs after if it
ran before, with the same numbers. *No kernel*: it ran before, and ONNX Runtime has no kernel for the newer version of that operator.

{peer}

Not clean under graphfix:

{unclean}

## onnx's node cases

Those below opset 23 that give their shipped outputs before, and do so after migration to 23.

{nodes}

## Every version of every operator

Node cases set back to each older version of their operator (7 to 22), attributes dropped and varied, at most {limit} for each operator
and version, each in {wraps}; migrated to 23, checked (`full_check`), run by the
same engine. A pair is an operator and a version.

{cases}

*No kernel* cases could not be compared: ONNX Runtime has no kernel after, and the reference evaluator none either (or draws other random
numbers). MeanVarianceNormalization is exempt from `full_check`: onnx {onnx} cannot infer its body from opset 13 on. Dropout's mask is not
compared: ONNX Runtime's is all false up to opset 11 and all true from 12 on, and older definitions do not say.

## The way down

Node cases at opset 23, in the main graph, a branch and a function, taken down. *Refused* names the operator, the node and the reason:
the operator, a type, an attribute or a form is newer than the target. *Operators*: those with at least one case that was compared.

{down}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--nodes", action="store_true")
    parser.add_argument("--differential", type=int, metavar="LIMIT")
    parser.add_argument("--down", type=int, metavar="LIMIT")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "graphfix-onnx-sources")
    given = parser.parse_args()
    everything = not (given.peer or given.nodes or given.differential or given.down)
    mine = CONVERTERS if everything else {"graphfix": with_graphfix}
    kept, limit = True, given.differential or 12
    parts = {"peer": "", "unclean": "", "nodes": "", "cases": "", "down": ""}
    if everything or given.peer:
        rows, unclean, ok = peer(given.cache, mine)
        head = ("target", "converter", "tests", "assertions hold", "clean", "no kernel")
        parts |= {"peer": table(head, rows), "unclean": listed(unclean)}
        kept &= ok
    if everything or given.nodes:
        rows, problems, ok = nodes(mine)
        parts["nodes"] = "\n\n".join([table(("converter", "cases that run", "same after"), rows), *problems])
        kept &= ok
    if everything or given.differential:
        rows, problems, ok = cases(limit)
        head = ("pairs", "same", "no kernel", "refused", "wrong", "invalid")
        parts["cases"] = "\n\n".join([table(head, rows), *problems])
        kept &= ok
    if everything or given.down:
        rows, problems, ok = downward(given.down or 6)
        head = ("opsets", "operators", "same", "no kernel", "refused", "wrong", "invalid")
        parts["down"] = "\n\n".join([table(head, rows), *problems])
        kept &= ok
    if everything:
        text = TEXT.format(onnx=onnx.__version__, ort=onnxruntime.__version__, limit=limit, wraps=", ".join(scopes.WRAPS), **parts)
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(text, encoding="utf-8", newline="\n")
    print("\n\n".join(filter(None, parts.values())))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
