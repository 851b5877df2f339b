"""What tests share: the fixtures with their stories, and the two doors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
EXPORTS = ROOT / "fixtures" / "exports"
# ONNX Runtime's CPU build has resolved and typed the whole graph when it says this: only FP4 kernels are missing.
NO_KERNEL = "Could not find an implementation for"


@dataclass(frozen=True)
class Export:
    """A real export with its story."""

    name: str
    path: Path
    story: dict[str, Any]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {k: tuple(v) for k, v in self.story["shapes"].items()}

    def copy_to(self, folder: Path) -> Path:
        """The export in a folder of its own, so that a test may write beside it."""
        for part in (self.path, self.path.with_name(self.path.name + "_data")):
            shutil.copyfile(part, folder / part.name)
        return folder / self.path.name


def load_exports() -> list[Export]:
    paths = sorted(EXPORTS.glob("*.onnx"))
    return [Export(p.stem, p, tomllib.loads(p.with_suffix(".toml").read_text(encoding="utf-8"))) for p in paths]


ALL = {e.name: e for e in load_exports()}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`export` runs over every export; `deployable` over those that a pipeline of today opens both doors for."""
    for argument, wanted in (("export", lambda e: True), ("deployable", lambda e: bool(e.story["expect"]["recipe"]))):
        if argument in metafunc.fixturenames:
            chosen = [e for e in ALL.values() if wanted(e)]
            metafunc.parametrize(argument, chosen, ids=[e.name for e in chosen])


@pytest.fixture
def exports() -> dict[str, Export]:
    """All exports by name."""
    return ALL


@pytest.fixture(scope="session")
def ort_door(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """ONNX Runtime's loader with the EP's three operators registered: returns its complaint, empty when the file gets through."""
    import onnxruntime as ort

    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler to build tools/ort_door.c with")
    library = tmp_path_factory.mktemp("door") / "ort_door.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(ROOT / "tools" / "ort_door.c")], check=True)

    def complaint(path: Path) -> str:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.register_custom_ops_library(str(library))
        try:
            ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's own exceptions share no base class
            return "" if NO_KERNEL in str(error) else str(error)
        return ""

    return complaint


def inputs_for(export: Export, names: list[str], types: dict[str, Any]) -> dict[str, np.ndarray]:
    """Seeded inputs: latents of unit variance, a timestep in the range that the model's scheduler uses."""
    rng = np.random.default_rng(0)
    feed = {}
    for name in names:
        shape = export.shapes[name]
        value = rng.standard_normal(shape)
        if name == "timestep":
            value = np.full(shape, 0.5 if export.name.startswith("flux") else 500.0)
        if name.endswith("_ids"):
            value = rng.integers(0, 8, shape)
        feed[name] = value.astype(types[name])
    return feed


@pytest.fixture
def feed_for() -> Callable[[Export], dict[str, np.ndarray]]:
    """Inputs for an export, in the types that it declares."""

    def feed(export: Export) -> dict[str, np.ndarray]:
        graph = onnx.load(export.path, load_external_data=False).graph
        kinds = {v.name: onnx.helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type) for v in graph.input}
        return inputs_for(export, list(export.shapes), kinds)

    return feed


@pytest.fixture
def run_on_cpu() -> Callable[[Export, Path], np.ndarray]:
    """Run a model on ONNX Runtime's CPU provider, graph optimizations off: they alone move results."""
    import onnxruntime as ort

    def run(export: Export, path: Path) -> np.ndarray:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        kinds = {"tensor(float16)": np.float16, "tensor(float)": np.float32}
        types = {i.name: kinds[i.type] for i in session.get_inputs() if i.name in export.shapes}
        out: np.ndarray = session.run(None, inputs_for(export, list(types), types))[0]
        return out

    return run


@pytest.fixture
def parse() -> Callable[[str], onnx.ModelProto]:
    """A model from ONNX text."""
    return onnx.parser.parse_model


@pytest.fixture
def in_browser(tmp_path: Path) -> Callable[[str, str, int], Any]:
    """Open a page in headless Chromium, in a frame of a width in pixels: what the page's probe leaves in its title, as JSON."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium to open the page in")

    def probed(page: str, probe: str, width: int) -> Any:
        (tmp_path / "page.html").write_text(page.replace("</body>", probe), encoding="utf-8")
        frame = tmp_path / "frame.html"
        # A frame as wide as the screen meant: headless windows have a least width of their own.
        frame.write_text(
            f'<iframe src="page.html" width="{width}" height="800" onload="document.title=this.contentDocument.title;'
            'document.body.append(document.title)"></iframe>'
        )
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        flags += ["--allow-file-access-from-files", "--virtual-time-budget=3000", f"--user-data-dir={tmp_path / 'profile'}"]
        done = subprocess.run([browser, *flags, "--dump-dom", frame.as_uri()], capture_output=True, text=True, check=True, timeout=60)
        return json.loads(done.stdout.split("</iframe>")[1].split("</body>")[0].replace("&amp;", "&"))

    return probed
