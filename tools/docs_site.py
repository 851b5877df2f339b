"""Builds the documentation site: docs/ as it is, and a page for every pass, lint, verb and public name, made from the code.

    python tools/docs_site.py [--check] [--docs FOLDER] [--output FOLDER]

The site is written to build/site; ``mkdocs serve`` shows it while you write. ``--check`` builds into a temporary folder. Either way
warnings are errors, every link within the site must lead somewhere, and every pass and lint must have a page: exit code 1, and a line
for each fault. Needs: pip install -e ".[docs]". Never asks the network for anything.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from graphfix.lints.run import collect  # noqa: E402
from graphfix.registry import Registry  # noqa: E402
from tools.docs_pages.links import broken  # noqa: E402


def missing(site: Path) -> list[str]:
    """Passes and lints of which a site has no page. Asks the code, not what generated the pages."""
    wanted = [f"passes/{name}" for name in Registry.load().names()] + [f"lints/{cls.code}" for cls in collect()]
    return [f"no page {name}" for name in wanted if not (site / name / "index.html").is_file()]


def can_build() -> bool:
    """Whether the extra [docs] is installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("mkdocs", "material", "mkdocstrings_handlers"))


def build(docs: Path, site: Path) -> list[str]:
    """Build ``docs`` into ``site``; what is wrong with it."""
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # advertisements, between the lines that say what is wrong
    hook = ROOT / "tools" / "docs_pages" / "hook.py"
    config = f"INHERIT: {(ROOT / 'mkdocs.yml').as_posix()}\ndocs_dir: {docs.as_posix()}\nhooks: [{hook.as_posix()}]\n"
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary) / "mkdocs.yml"
        made.write_text(config, encoding="utf-8")
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(made), "--site-dir", str(site)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=quiet)
    said = (done.stdout + done.stderr).strip().splitlines()
    if not (site / "index.html").is_file():
        return said
    wrong = [line for line in said if line.startswith(("WARNING", "ERROR", " "))]
    if done.returncode and not wrong:
        return said
    return wrong + missing(site) + broken(site)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "site")
    given = parser.parse_args()
    if not can_build():
        print('mkdocs is not installed\nnext:  pip install -e ".[docs]"', file=sys.stderr)
        return 3
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        site = Path(temporary) / "site" if given.check else given.output.resolve()
        wrong = build(given.docs.resolve(), site)
        pages = sum(1 for _ in site.rglob("*.html"))
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{pages} pages, {len(wrong)} faults, {time.monotonic() - start:.1f} s" + ("" if given.check else f": {site / 'index.html'}"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
