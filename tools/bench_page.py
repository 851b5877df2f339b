"""docs/bench.md and its plots, from the JSON files of `tools/bench.py`. What is claimed is computed from the figures, held or missed."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench_peers import OTHERS, PEERS

Row = dict[str, Any]
PLOTS = {"nodes": "nodes of the graph", "gigabytes": "GB of external weights"}
KIND_TITLES = {
    "nvfp4": "An NVFP4 export, as ModelOpt writes it",
    "plain": "Operators of onnx only, which every peer can read",
}
# Copies of the data beside those of the system: the first two pairs promise the same in a power cut.
COPIES = (
    ("copy-no-sync", "cp", "`--data copy --no-sync` / `cp`"),
    ("copy", "cp-sync", "`--data copy` / `cp` and `sync`"),
    ("copy", "cp", "`--data copy` / `cp`"),
)


def best(row: Row) -> dict[str, float]:
    """The fastest run of a row; its memory is the least that any run took."""
    fastest: dict[str, float] = min(row["runs"], key=lambda run: run["seconds"])
    return {**fastest, "process": min(r["process"] for r in row["runs"]), "megabytes": min(r["megabytes"] for r in row["runs"])}


class Figures:
    """The rows of one or several files of one machine."""

    def __init__(self, paths: list[Path]) -> None:
        documents = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        self.machine, self.versions = documents[0]["machine"], documents[0]["versions"]
        for path, document in zip(paths, documents, strict=True):
            if (document["machine"], document["versions"]) != (self.machine, self.versions):
                sys.exit(f"error: {path} holds figures of another machine or of other versions than {paths[0]}; next: a page for each")
        self.rows: dict[str, Row] = {row["key"]: row for document in documents for row in document["rows"]}

    def part(self, name: str, kind: str | None = None) -> list[Row]:
        return [row for row in self.rows.values() if row["part"] == name and kind in {None, row["kind"]}]

    def value(self, key: str, what: str = "seconds") -> float | None:
        row = self.rows.get(key)
        return best(row)[what] if row and row["runs"] else None

    def ratio(self, above: str, below: str, what: str = "seconds") -> float | None:
        a, b = self.value(above, what), self.value(below, what)
        return a / b if a and b else None


def sizes(rows: list[Row]) -> list[float]:
    return sorted({row["size"] for row in rows})


def exponent(figures: Figures, kind: str, peer: str, low: float, high: float, what: str = "seconds") -> float | None:
    """The power of the number of nodes that the figure grows with, between two sizes."""
    ratio = figures.ratio(f"nodes/{kind}/{high:g}/{peer}", f"nodes/{kind}/{low:g}/{peer}", what)
    return math.log(ratio) / math.log(high / low) if ratio else None


# --------------------------------------------------------------------------------------------------------------- claims


def claims(figures: Figures) -> Iterator[tuple[str, str, str]]:
    """(what is claimed, what was measured, held or missed)."""

    def judge(value: float | None, fits: Callable[[float], bool], form: str) -> tuple[str, str]:
        return ("not measured", "") if value is None else (form.format(value), "held" if fits(value) else "**missed**")

    start = figures.value("start//0/graphfix --version")
    yield ("`graphfix --version` under 0.15 s", *judge(start, lambda v: v < 0.15, "{:.3f} s"))
    imports = figures.rows.get("start//0/graphfix --version", {}).get("imports")
    if imports is not None:
        yield "... importing none of numpy, onnx, torch, ray", ", ".join(imports) or "none", "**missed**" if imports else "held"
    ours, recipe = "gigabytes/nvfp4/3/graphfix", "gigabytes/nvfp4/3/recipe"
    yield ("at least 20 times faster than the recipe at 3 GB", *judge(figures.ratio(recipe, ours), lambda v: v >= 20, "{:.0f} times"))
    whole = figures.ratio(recipe, ours, "process")
    yield ("... with the start of Python and all imports", *(("not measured", "") if whole is None else (f"{whole:.0f} times", "")))
    memory = figures.ratio(recipe, ours, "megabytes")
    yield ("at least 40 times less memory than the recipe at 3 GB", *judge(memory, lambda v: v >= 40, "{:.0f} times"))
    counts = sizes(figures.part("nodes"))
    for kind in KIND_TITLES:
        if len(counts) > 1:
            grown = exponent(figures, kind, "graphfix", counts[0], counts[-1])
            yield (
                f"growth exponent at most 1.1 from {counts[0]:,.0f} to {counts[-1]:,.0f} nodes, {kind}",
                *judge(grown, lambda v: v <= 1.1, "{:.2f}"),
            )
    for row in [row for row in figures.part("gigabytes") if row["size"] >= 3 and row["peer"] == "graphfix" and row["runs"]]:
        faster = [
            f"{PEERS[other['peer']].label} {best(other)['seconds']:.2f} s beside {best(row)['seconds']:.2f} s"
            for other in figures.part("gigabytes", row["kind"])
            if other["size"] == row["size"]
            and not other["peer"].startswith("graphfix")
            and other.get("output") == "valid"
            and best(other)["seconds"] < best(row)["seconds"]
        ]
        text = "; ".join(faster) or "none"
        yield (
            f"no peer faster at the same work (its output is valid), {row['kind']}, {row['size']:g} GB",
            text,
            "**missed**" if faster else "held",
        )
    biggest = max(sizes(figures.part("saving")), default=0)
    if biggest:
        beside = figures.ratio(f"saving/nvfp4/{biggest:g}/graphfix", "saving/nvfp4/0.012/graphfix")
        yield (f"header-only: {biggest:g} GB in the time of 12 MB (at most 1.2 times)", *judge(beside, lambda v: v <= 1.2, "{:.2f} times"))
        for ours, peer, title in COPIES[:2]:
            copied = figures.ratio(f"saving/nvfp4/{biggest:g}/{ours}", f"saving/nvfp4/{biggest:g}/{peer}")
            what, beside = title.split(" / ")
            yield f"{what} within 1.2 times {beside}, as durable, {biggest:g} GB", *judge(copied, lambda v: v <= 1.2, "{:.2f} times")


# --------------------------------------------------------------------------------------------------------------- tables


def table(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(line) + " |" for line in lines)])


def cell(row: Row | None) -> str:
    """Seconds of the work, of the whole process, and memory; or how it ended."""
    if row is None:
        return "-"
    if not row["runs"]:
        cost = f", {row['megabytes']:,.0f} MB" if row.get("megabytes") else ""
        return {"missing": "not installed", "failed": f"fails{cost}"}.get(row["status"], f"{row['says']}{cost}")
    found = best(row)
    return f"{found['seconds']:.2f} ({found['process']:.2f}) s, {found['megabytes']:,.0f} MB"


def outcome(rows: list[Row]) -> str:
    """What the outputs were worth, over all sizes."""
    said = [row.get("output") or (row["says"] if row.get("status") != "ok" else "") for row in rows]
    found = list(dict.fromkeys(text.replace("|", "\\|") for text in said if text))
    return "; ".join(found)


def side_by_side(figures: Figures, part: str, kind: str) -> str:
    rows = figures.part(part, kind)
    columns = sizes(rows)
    units = [f"{size:,.0f} nodes" if part == "nodes" else f"{size:g} GB" for size in columns]
    head = ["", *units, *(["exponent"] if part == "nodes" else ["graphfix: times as fast", "times less memory"]), "output"]
    lines = []
    for name, peer in PEERS.items():
        mine = [row for row in rows if row["peer"] == name]
        if not mine:
            continue
        cells = [cell(figures.rows.get(f"{part}/{kind}/{size:g}/{name}")) for size in columns]
        if part == "nodes":
            grown = exponent(figures, kind, name, columns[0], columns[-1]) if len(columns) > 1 else None
            cells.append("-" if grown is None or name == "cp" else f"{grown:.2f}")
        else:
            keys = [(f"{part}/{kind}/{size:g}/{name}", f"{part}/{kind}/{size:g}/graphfix") for size in columns]
            for what in ("seconds", "megabytes"):
                ratios = [figures.ratio(above, below, what) for above, below in keys]
                cells.append(" / ".join("-" if ratio is None else f"{ratio:.1f}" for ratio in ratios))
        lines.append([peer.label, *cells, outcome(mine)])
    return table(head, lines)


def saving(figures: Figures) -> str:
    rows = figures.part("saving")
    columns = sizes(rows)
    units = [f"{size * 1000:g} MB" if size < 0.1 else f"{size:g} GB" for size in columns]
    names = {"graphfix": "graphfix, data shared", **{name: OTHERS[name].label for name in ("copy", "copy-no-sync", "cp", "cp-sync")}}
    lines = [[label, *(cell(figures.rows.get(f"saving/nvfp4/{size:g}/{name}")) for size in columns)] for name, label in names.items()]
    for ours, peer, label in COPIES:
        ratios = [figures.ratio(f"saving/nvfp4/{size:g}/{ours}", f"saving/nvfp4/{size:g}/{peer}") for size in columns]
        lines.append([label, *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios)])
    return table(["", *units], lines)


def folding(figures: Figures) -> str:
    lines = []
    for row in sorted(figures.part("folding"), key=lambda row: (row["kind"] != "nvfp4", row["kind"], row["size"], row["cores"])):
        found = best(row) if row["runs"] else None
        speed = f"{row['size'] / found['seconds'] / 1e6:,.0f}" if found else "-"
        size, wrote = row["input"] / 1e9, row.get("wrote", 0) / 1e9
        lines.append([row["kind"], f"{row['size'] / 1e6:,.0f}", f"{size:.2f}", f"{wrote:.2f}", str(row["cores"] or "-"), cell(row), speed])
    return table(["weights", "million", "GB read", "GB written", "cores", "seconds (process), memory", "million a second"], lines)


def start(figures: Figures) -> str:
    lines = []
    for row in figures.part("start"):
        runs = sorted(run["process"] for run in row["runs"])
        lines.append([f"`{row['peer']}`", f"{runs[0]:.3f}", f"{runs[len(runs) // 2]:.3f}", f"{best(row)['megabytes']:.0f}"])
    return table(["", "best of 10, s", "median, s", "MB"], lines)


# ---------------------------------------------------------------------------------------------------------------- plots


def draw(figures: Figures, folder: Path) -> dict[str, str]:
    """SVG plots: time and memory by size for every peer, folding by cores. Returns file name by part."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "graphfix", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3})
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    markers = "osv^D<>pX*"
    for part, axis in PLOTS.items():
        kinds = [kind for kind in KIND_TITLES if figures.part(part, kind)]
        if not kinds:
            continue
        figure, axes = pyplot.subplots(2, len(kinds), figsize=(5.4 * len(kinds), 7.2), squeeze=False, sharex=True)
        drawn: dict[str, Any] = {}
        for column, kind in enumerate(kinds):
            for line, (what, unit) in enumerate((("seconds", "seconds, without imports"), ("megabytes", "peak memory, MB"))):
                plot = axes[line][column]
                for color, (mark, (name, peer)) in enumerate(zip(markers, PEERS.items(), strict=True)):
                    mine = [row for row in figures.part(part, kind) if row["peer"] == name and row["runs"]]
                    points = [(row["size"], best(row)[what]) for row in mine if what == "seconds" or best(row)[what] > 1]
                    if points:  # a process that ends within a sample has no memory to tell
                        bold = name.startswith("graphfix")
                        style = {"color": f"C{color}", "marker": mark, "lw": 2.4 if bold else 1, "ms": 4}
                        (drawn[peer.label.replace("`", "")],) = plot.plot(*zip(*sorted(points), strict=True), **style)
                plot.set(xscale="log", yscale="log", ylabel=unit)
                plot.set_xticks(sizes(figures.part(part)), labels=[f"{size:,g}" for size in sizes(figures.part(part))], minor=False)
                plot.set_xticks([], minor=True)
            axes[0][column].set_title(KIND_TITLES[kind])
            axes[1][column].set_xlabel(axis)
        order = [label for peer in PEERS.values() if (label := peer.label.replace("`", "")) in drawn]
        figure.legend([drawn[label] for label in order], order, loc="lower center", ncols=3, frameon=False)
        figure.tight_layout(rect=(0, 0.1, 1, 1))
        made[part] = save(figure, folder / f"bench_{part}.svg")
    rows = [row for row in figures.part("folding") if row["kind"] == "nvfp4" and row["runs"] and row["cores"]]
    largest = max((row["size"] for row in rows), default=0)
    rows = sorted((row for row in rows if row["size"] == largest), key=lambda row: row["cores"])
    if len(rows) > 1:
        figure, plot = pyplot.subplots(figsize=(5.4, 3.6))
        cores, speeds = [row["cores"] for row in rows], [row["size"] / best(row)["seconds"] / 1e6 for row in rows]
        plot.plot(cores, speeds, marker="o", lw=2.4, label="measured")
        plot.plot(cores, [speeds[0] * n / cores[0] for n in cores], ls=":", color="grey", label="in proportion to the cores")
        plot.set(xlabel="cores", ylabel="million weights a second", title="NVFP4 weights folded, file to file", ylim=(0, None))
        plot.set_xticks(cores)
        plot.legend(frameon=False)
        figure.tight_layout()
        made["folding"] = save(figure, folder / "bench_folding.svg")
    return made


def save(figure: Any, path: Path) -> str:
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    text = "\n".join(line.rstrip() for line in path.read_text(encoding="utf-8").splitlines())
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
    return path.name


# ----------------------------------------------------------------------------------------------------------------- page


def write(paths: list[Path], docs: Path) -> int:
    """Write docs/bench.md and docs/images/bench_*.svg; prints what was claimed and whether it held."""
    figures = Figures(paths)
    images = draw(figures, docs / "images")
    found = list(claims(figures))
    (docs / "bench.md").write_text("\n\n".join(page(figures, images, found)) + "\n", encoding="utf-8", newline="\n")
    for claim, measured, judged in found:
        print(f"{judged.strip('*') or '-':7} {claim}: {measured}")
    print(f"wrote {docs / 'bench.md'}")
    return 0


def page(figures: Figures, images: dict[str, str], found: list[tuple[str, str, str]]) -> Iterator[str]:
    m = figures.machine

    def image(part: str) -> Iterator[str]:
        if part in images:
            yield f"![{part}](images/{images[part]})"

    yield "# Side by side: time and memory"
    yield (
        "graphfix, its peers and `cp` on the same files in one run. Written by `python tools/bench.py --page FILE...` from what\n"
        "`python tools/bench.py --json FILE` measured; change the tool, not this page."
    )
    yield (
        f"Machine: {m['processor']}, {m['cores']} cores, {m['memory_gb']} GB of memory, {m['system']}, Python {m['python']}. "
        + "Versions: "
        + ", ".join(f"{name} {version}" for name, version in figures.versions.items())
        + "."
    )
    yield "## What is claimed"
    yield table(["", "measured", ""], [list(claim) for claim in found])
    yield "## How it was measured"
    yield (
        "Every figure is a process of its own. `0.20 (0.60) s, 90 MB` is 0.20 s of work from file to file, 0.60 s with the start of\n"
        "Python and all imports, and 90 MB of peak resident memory, imports included. The best of the runs counts, contenders took\n"
        "turns, input files were cached, and the disk was idle at the start of each. graphfix flushes what it writes to the disk\n"
        "before it says so; the peers and `cp` do not. An output is *valid* when onnx's checker takes it, it is at opset 23, both\n"
        "outputs of every `TRT_FP4DynamicQuantize` have their types, and every weight is there with its bytes: the same work.\n"
        "Anything else is told in the last column. `> 300 s` is where a run was ended, for time or for memory."
    )
    yield table(["", "what it does"], [[peer.label, peer.does] for peer in PEERS.values()])
    if figures.part("start"):
        yield "## Start-up"
        yield start(figures)
    for part, title in (("gigabytes", "## Weights, 576 nodes at every size"), ("nodes", "## Nodes, one small weight")):
        if not figures.part(part):
            continue
        yield title
        yield from image(part)
        for kind, name in KIND_TITLES.items():
            if figures.part(part, kind):
                yield f"**{name}.**"
                yield side_by_side(figures, part, kind)
    if figures.part("saving"):
        yield "## Saving"
        yield "Beside the input the data file is shared and only the header is written. `sync` is of the files that `cp` wrote."
        yield saving(figures)
    if figures.part("folding"):
        yield "## Folding weights"
        yield from image("folding")
        yield folding(figures)
