"""mkdocs asks here for the pages that no file holds, and for their places in the navigation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.docs_pages import api, cli, lints, passes  # mkdocs loads this file by its path

GENERATED: dict[str, str] = {}
MARK = "generated"  # in mkdocs.yml's navigation: `- Passes: generated/passes`


def on_config(config: Any) -> Any:
    """Write the pages and put those of a folder where the navigation says ``generated/FOLDER``."""
    GENERATED.clear()
    for part in (passes, lints, cli, api):
        GENERATED.update(part.pages())
    for entry in config.nav:
        for title, target in entry.items():
            if isinstance(target, str) and target.startswith(f"{MARK}/"):
                folder = target.partition("/")[2]
                entry[title] = [path for path in GENERATED if path.startswith(f"{folder}/")]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    for path, text in GENERATED.items():
        files.append(File.generated(config, path, content=text))
    return files
