"""Coverage-guided fuzzing of load, every pass, lint, inspect, diff and save: ``python tools/fuzz.py --seconds 600``.

Atheris (libFuzzer for Python) mutates models and keeps those that reach new code of graphfix, its passes and onnx-ir. Half of the mutations
are of bytes, half of the message: fields set, cleared, duplicated, swapped between messages, numbers at the edges. What is not an error of
graphfix's own tree is a finding, and so are a pass or lint that failed inside, a hang, a crash and too much memory. Each finding is written
once, as ``<kind>-<digest>.onnx`` with its traceback beside it; ``--replay FILE`` runs one again.

Prints executions, features and edges reached, and findings. Exit codes: 0 none, 1 findings, 3 Atheris is not installed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import random
import re
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
DATA = "w.bin"  # the one data file that fuzzed models can refer to
LIMIT = 10  # seconds for one model
MEMORY = 3072  # MB for the whole process; it starts at some 250
INSIDE = "this is an error in the"  # what the pipeline and the linter say of an exception inside a pass or lint


def seeds() -> dict[str, bytes]:
    """Small models: the text fixtures, the examples of every lint, and a few with parts that those do not have."""
    import onnx

    from graphfix.lints.run import collect

    found: dict[str, bytes] = {}
    texts = {p.stem: p.read_text(encoding="utf-8") for p in sorted((ROOT / "fixtures" / "text").glob("*.onnxtxt"))}
    for lint in collect():
        for i, text in enumerate(re.findall(r"```onnx\n(.*?)```", "\n".join(lint.sections().values()), re.DOTALL)):
            texts[f"{lint.code}_{i}"] = text
    for name, text in texts.items():
        try:
            found[name] = onnx.parser.parse_model(text).SerializeToString()
        except onnx.parser.ParseError:
            continue
    helper, kinds = onnx.helper, onnx.TensorProto
    model = onnx.ModelProto.FromString(found["subgraphs"])
    tensor = model.graph.initializer.add(name="outside", data_type=kinds.FLOAT, dims=[4], data_location=kinds.EXTERNAL)
    for key, value in {"location": DATA, "offset": "16", "length": "16"}.items():
        tensor.external_data.add(key=key, value=value)
    sparse = model.graph.sparse_initializer.add(dims=[8])
    sparse.values.CopyFrom(helper.make_tensor("sparse", kinds.FLOAT, [1], [1.0]))
    sparse.indices.CopyFrom(helper.make_tensor("", kinds.INT64, [1], [3]))
    model.training_info.add().initialization.name = "init"
    model.metadata_props.add(key="graphfix.provenance", value='[{"passes": ["opset23"], "version": "0"}]')
    model.graph.quantization_annotation.add(tensor_name="outside").quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="sparse")
    found["everything"] = model.SerializeToString()
    for op in ("Loop", "Scan", "SequenceMap", "GroupNormalization", "Resize", "ReduceSum", "Softmax", "Clip", "Pad", "TopK", "Upsample"):
        version = min(onnx.defs.get_schema(op, 20, "").since_version, 20)
        schema = onnx.defs.get_schema(op, version, "")
        names = [f"i{i}" for i in range(schema.min_input)]
        node = helper.make_node(op, names, [f"o{i}" for i in range(max(schema.min_output, 1))], "n")
        for attribute in schema.attributes.values():
            node.attribute.append(onnx.AttributeProto(name=attribute.name, type=int(attribute.type.value), i=1, ints=[1]))  # type: ignore
        graph = helper.make_graph([node], "g", [helper.make_tensor_value_info(n, kinds.FLOAT, [2, "n"]) for n in names], [])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
        found[f"op_{op}"] = made.SerializeToString()
    return found


# --- what is run -----------------------------------------------------------------------------------------------------


def targets() -> dict[str, Callable[[Path], None]]:
    """What can be asked of a file, by name."""
    import graphfix
    from graphfix import inventory, io, pipeline
    from graphfix.difference import differences
    from graphfix.registry import Registry
    from graphfix.report.sarif import findings

    registry = Registry.load()
    good = io.from_proto(_model("fixtures/text/subgraphs.onnxtxt"))

    def apply(passes: str) -> Callable[[Path], None]:
        def run(path: Path) -> None:
            steps = pipeline.parse(passes, registry)
            model = io.load(path)
            pipeline.run(model, steps)
            io.save(model, path.with_name("out") / "m.onnx")
            io.load(path.with_name("out") / "m.onnx")

        return run

    def lint(path: Path) -> None:
        findings(graphfix.lint(path, targets=["sm89", "sm120"], ort="1.30"), path.name)

    made = {name: apply(name) for name in (*registry.pipelines(), *registry.names())}
    made |= {f"opset{version}": apply(f"opset{version}") for version in (7, 13, 18, 21, 28)}
    made["inspect"] = lambda path: inventory.take(io.load(path)).as_dict() and None
    made["lint"] = lint
    made["diff"] = lambda path: list(differences(io.load(path), good, weights=True)) and None
    made["diff-itself"] = lambda path: list(differences(io.load(path), io.load(path), weights=True)) and None
    return made


def _model(name: str) -> Any:
    import onnx

    return onnx.parser.parse_model((ROOT / name).read_text(encoding="utf-8"))


class Box:
    """A folder for one model, with a data file beside it; runs a target on a blob and tells what went wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "out").mkdir(parents=True, exist_ok=True)
        (folder / DATA).write_bytes(bytes(range(256)))
        self.targets = targets()

    def run(self, blob: bytes, name: str) -> str:
        """The traceback of a finding; empty where the target answered as it should."""
        from graphfix.errors import GraphfixError

        path = self.folder / "m.onnx"
        path.write_bytes(blob)
        for old in (self.folder / "out").iterdir():
            old.unlink()
        began = time.monotonic()
        try:
            self.targets[name](path)
        except GraphfixError as error:
            if INSIDE in error.why or "cannot be written" in error.what:
                return traceback.format_exc()
        except Exception:  # noqa: BLE001 - this is what is being looked for
            return traceback.format_exc()
        if time.monotonic() - began > LIMIT:
            return f"{name}: took {time.monotonic() - began:.0f} s"
        return ""


def signature(trace: str) -> str:
    """What makes two tracebacks one finding: where the innermost exception was raised, and its type."""
    first = trace.split("\nThe above exception")[0]
    frames = re.findall(r'File "[^"]*?([^"/\\]+)", line (\d+)', first)
    kind = next((line.split(":")[0] for line in reversed(first.strip().splitlines()) if line[:1].isalpha()), "")
    return f"{frames[-1] if frames else ''} {kind}"


# --- mutation --------------------------------------------------------------------------------------------------------

NUMBERS = (0, 1, 2, -1, 16, 17, 32, 64, 127, 128, 255, 1000, 2**15, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**62, 2**63 - 1, -(2**63))
WORDS = ("", "x", "y", "trt", "ai.onnx", "com.microsoft", "../w.bin", DATA, "axis", "to", "value", "block_size", "\0", "é", "9" * 30)


def mutate(blob: bytes, rng: random.Random, pool: list[bytes]) -> bytes:
    """One to four edits of the message; the bytes as they are where they are no message."""
    import google.protobuf.message
    import onnx

    model = onnx.ModelProto()
    try:
        model.ParseFromString(blob)
    except google.protobuf.message.DecodeError:
        model.ParseFromString(rng.choice(pool))
    for _ in range(rng.randint(1, 4)):
        messages = list(_messages(model))
        if rng.random() < 0.15:
            other = onnx.ModelProto.FromString(rng.choice(pool))
            _splice(messages, list(_messages(other)), rng)
        else:
            _edit(rng.choice(messages), rng)
    return model.SerializeToString()


def _messages(root: Any) -> Any:
    pending, count = [root], 0
    while pending and count < 3000:
        message = pending.pop()
        count += 1
        yield message
        for field, value in message.ListFields():
            if field.message_type is not None:
                pending.extend([value] if not _repeated(field) else value)


def _repeated(field: Any) -> bool:
    return bool(field.is_repeated)


def _splice(mine: list[Any], theirs: list[Any], rng: random.Random) -> None:
    target = rng.choice(mine)
    alike = [m for m in theirs if m.DESCRIPTOR is target.DESCRIPTOR]
    if alike and target is not mine[0]:
        (target.CopyFrom if rng.random() < 0.5 else target.MergeFrom)(rng.choice(alike))


def _edit(message: Any, rng: random.Random) -> None:
    fields = message.DESCRIPTOR.fields
    present = [field for field, _ in message.ListFields()]
    field = rng.choice(present if present and rng.random() < 0.8 else list(fields))
    name = field.name
    if rng.random() < 0.1:
        message.ClearField(name)
        return
    if field.message_type is not None:
        if not _repeated(field):
            getattr(message, name).SetInParent()
            return
        items = getattr(message, name)
        if not items or rng.random() < 0.2:
            items.add()
            return
        index = rng.randrange(len(items))
        choice = rng.randrange(4)
        if choice == 0:
            del items[index]
        elif choice == 1:
            items.add().CopyFrom(items[index])
        elif choice == 2:
            kept = [type(i).FromString(i.SerializeToString()) for i in items]
            rng.shuffle(kept)
            del items[:]
            items.extend(kept)
        else:
            _edit(items[index], rng)
        return
    value = _value(field, message, rng)
    try:
        if not _repeated(field):
            setattr(message, name, value)
            return
        items = getattr(message, name)
        if items and rng.random() < 0.6:
            items[rng.randrange(len(items))] = value
        elif items and rng.random() < 0.3:
            del items[rng.randrange(len(items))]
        else:
            items.append(value)
    except (ValueError, TypeError):
        return  # the number does not fit the field


def _value(field: Any, message: Any, rng: random.Random) -> Any:
    if field.enum_type is not None:
        return rng.choice(field.enum_type.values).number
    if field.cpp_type == field.CPPTYPE_STRING:
        old = getattr(message, field.name)
        word = rng.choice(WORDS) if rng.random() < 0.5 or _repeated(field) or not old else (old + old if rng.random() < 0.5 else old[:-1])
        if field.type == field.TYPE_BYTES:
            return word if isinstance(word, bytes) else word.encode() + rng.randbytes(rng.randrange(9))
        return word
    if field.cpp_type in {field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE}:
        return rng.choice((0.0, -0.0, 1.0, float("nan"), float("inf"), 1e-45, 3e38))
    number = rng.choice(NUMBERS) if rng.random() < 0.7 else rng.randrange(-4, 40)
    bits = 32 if "INT32" in {1: "INT32", 3: "UINT32"}.get(field.cpp_type, "") else 64
    return struct.unpack("<i", struct.pack("<q", number)[:4])[0] if bits == 32 else number


# --- the fuzzer ------------------------------------------------------------------------------------------------------


def fuzz(arguments: argparse.Namespace, rest: list[str]) -> None:
    """The child: fuzz until libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["graphfix", "graphfix_passes", "onnx_ir"]):
        import graphfix.lints.run
        import graphfix.pipeline  # noqa: F401
        from graphfix.registry import Registry

        registry = Registry.load()
        for name in registry.names():
            registry.pass_class(name)
    import logging

    logging.disable(logging.CRITICAL)
    out = Path(arguments.findings)
    box = Box(Path(arguments.box))
    names, pool = sorted(box.targets), list(seeds().values())
    seen: set[str] = {p.read_text(encoding="utf-8").splitlines()[0] for p in out.glob("*.txt")}
    names = [n for n in names if not arguments.only or n in arguments.only]

    def one(data: bytes) -> None:
        if len(data) < 2:
            return
        name = names[data[0] % len(names)]
        (out / "running").write_bytes(name.encode() + b"\n" + data[1:])
        trace = box.run(data[1:], name)
        if trace and (key := signature(trace)) not in seen:
            seen.add(key)
            write_finding(out, name, data[1:], key, trace)

    def custom(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        head = bytes([rng.randrange(256)]) if rng.random() < 0.3 or not data else data[:1]
        if rng.random() < 0.5:
            return (head + atheris.Mutate(data[1:] or b"\0", max(most - 1, 1)))[:most]
        made = mutate(data[1:], rng, pool)
        return head + made if len(made) < most else data[:most]

    atheris.Setup([sys.argv[0], *rest], one, custom_mutator=custom, internal_libfuzzer=True)
    atheris.Fuzz()


def write_finding(out: Path, name: str, blob: bytes, key: str, trace: str) -> None:
    """A finding as two files: the model, and what happened."""
    stem = f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    (out / f"{stem}.onnx").write_bytes(blob)
    (out / f"{stem}.txt").write_text(f"{key}\n{name}\n\n{trace}", encoding="utf-8")


def campaign(arguments: argparse.Namespace) -> int:
    """The parent: start the fuzzer, start it again after each crash, hang or excess of memory, and add up."""
    out = Path(arguments.findings)
    out.mkdir(parents=True, exist_ok=True)
    began, executions, coverage, features, died = time.monotonic(), 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(arguments.corpus or Path(folder) / "corpus")
        corpus.mkdir(parents=True, exist_ok=True)
        for i, (name, blob) in enumerate(seeds().items()):
            (corpus / f"seed_{name}").write_bytes(bytes([i]) + blob)
        while True:
            left = int(arguments.seconds - (time.monotonic() - began)) if arguments.seconds else 0
            runs = arguments.runs - executions if arguments.runs else -1
            if (arguments.seconds and left <= 0) or (arguments.runs and runs <= 0):
                break
            command = [sys.executable, __file__, "--child", "--findings", str(out), "--box", str(Path(folder) / "box")]
            command += [word for name in arguments.only for word in ("--only", name)]
            command += ["--", str(corpus), f"-runs={runs}", f"-max_total_time={left}", f"-timeout={LIMIT * 3}", f"-rss_limit_mb={MEMORY}"]
            command += [f"-seed={arguments.seed + died}", "-max_len=20000", "-len_control=0", f"-artifact_prefix={folder}/"]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            stats = re.findall(r"#(\d+)\s.*?cov: (\d+) ft: (\d+)", done.stderr)
            if stats:
                executions += max(int(row[0]) for row in stats)
                coverage, features = max(coverage, int(stats[-1][1])), max(features, int(stats[-1][2]))
            if done.returncode == 0:
                continue
            died += 1
            if not stats:
                print(done.stderr[-3000:], file=sys.stderr)
                return 1
            running = (out / "running").read_bytes()
            name, _, blob = running.partition(b"\n")
            kind = next((word for word in ("timeout", "out-of-memory", "deadly signal") if word in done.stderr), "crash")
            write_finding(out, name.decode(), blob, f"{kind} {hashlib.sha256(blob).hexdigest()[:8]}", done.stderr[-4000:])
    (out / "running").unlink(missing_ok=True)
    found = sorted(out.glob("*.txt"))
    seconds = time.monotonic() - began
    print(f"executions {executions:,} in {seconds:.0f} s; edges {coverage:,}; features {features:,}; findings {len(found)}")
    for path in found:
        print(f"  {path.with_suffix('.onnx')}: {path.read_text(encoding='utf-8').splitlines()[0]}")
    return 1 if found else 0


def replay(path: Path) -> int:
    """Run one finding again, on the target that its name begins with."""
    with tempfile.TemporaryDirectory() as folder:
        box = Box(Path(folder))
        name = path.stem.rpartition("-")[0]
        trace = box.run(path.read_bytes(), name)
    print(trace or f"{path}: {name} answers as it should")
    return 1 if trace else 0


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=0, help="stop after this long")
    parser.add_argument("--runs", type=int, default=0, help="stop after this many executions")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], help="only this target; may be repeated")
    parser.add_argument("--findings", default="findings", help="the folder for findings")
    parser.add_argument("--corpus", default="", help="a folder to keep what reached new code; a fresh one by default")
    parser.add_argument("--replay", type=Path, nargs="+", help="run findings again")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--box", default="", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.replay:
        return max(replay(path) for path in arguments.replay)
    if importlib.util.find_spec("atheris") is None:
        print('Atheris is not installed: pip install "graphfix[fuzz]" (Linux, Python 3.11 and newer)', file=sys.stderr)
        return 3
    if arguments.child:
        fuzz(arguments, arguments.rest)
        return 0
    if not (arguments.seconds or arguments.runs):
        parser.error("--seconds or --runs says when to stop")
    return campaign(arguments)


if __name__ == "__main__":
    sys.exit(main())
