"""The documentation site: a page for everything, examples that passes really change, and links that lead somewhere."""

import re
import shutil
import subprocess
import sys

import onnx
import pytest

import graphfix
from graphfix import registry
from graphfix.lints import BUILT_IN
from tests.conftest import ROOT
from tools import docs_site
from tools.docs_pages import api, cli, lints, passes
from tools.docs_pages.examples import FOLDER, Example, text_of
from tools.docs_pages.links import broken

EXAMPLES = sorted(FOLDER.glob("*.onnxtxt"))
needs_mkdocs = pytest.mark.skipif(not docs_site.can_build(), reason='mkdocs is not installed: pip install -e ".[docs]"')


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_a_pass_changes_its_example_once(path):
    example = Example.read(path)
    applied = example.run()
    assert path.stem == re.split(r"[\d{]", example.passes)[0] or example.passes == path.stem
    assert bool(applied.changes) is (path.stem != "known-defects")
    assert graphfix.apply(applied.model, example.passes).changes == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_what_a_page_shows_can_be_read_back(path):
    shown = onnx.parser.parse_model(re.sub(r"^#.*\n", "", text_of(Example.read(path).run().model), flags=re.M))
    result = Example.read(path).run().model
    assert [n.op_type for n in shown.graph.node] == [n.op_type for n in result.graph.node]
    assert [v.name for v in shown.graph.output] == [v.name for v in result.graph.output]


def test_every_pass_lint_verb_and_public_name_has_its_place():
    made = {**passes.pages(), **lints.pages(), **cli.pages(), **api.pages()}
    assert {f"passes/{name}.md" for name in registry.Registry.load().names()} < set(made)
    assert {f"lints/{cls.code}.md" for cls in BUILT_IN} < set(made)
    for heads, folder in ((passes.HEADS, "passes/"), (lints.HEADS, "lints/")):
        for name, text in made.items():
            if name.startswith(folder) and not name.endswith("index.md"):
                found = re.findall(r"^## (.*)$", text, re.M)
                assert [head for head in found if head in heads] == list(heads), name
    done = subprocess.run([sys.executable, "-m", "graphfix", "validate", "--help"], capture_output=True, text=True, check=True)
    for option in re.findall(r"^  (--[\w-]+)", done.stdout, re.M):
        assert f"`{option}`" in made["cli.md"]


def test_a_pass_without_an_example_has_no_page():
    class Stranger(graphfix.Pass):
        """Nothing."""

        name = "stranger"

    with pytest.raises(SystemExit, match=r"write fixtures/passes/stranger\.onnxtxt"):
        passes.page(Stranger)


def test_a_public_name_in_no_group_is_refused(monkeypatch):
    monkeypatch.setattr(graphfix, "__all__", [*graphfix.__all__, "forgotten"])
    with pytest.raises(SystemExit, match="forgotten"):
        api.pages()


SITE = {
    "index.html": '<h1 id="top">x</h1><a href="a/">1</a><a href="a/#here">2</a><a href="#top">3</a><a href="https://example.org/x">4</a>',
    "a/index.html": '<h1 id="here">x</h1><a href="..">1</a><img src="../p.png">',
    "p.png": "",
}


@pytest.mark.parametrize(
    ("link", "wrong"),
    [
        ("", ""),
        ("b/", "no such file"),
        ("a/#there", "no such anchor"),
        ("#nowhere", "no such anchor"),
        ("../outside.html", "leads out of the site"),
        ("https://", "no host"),
        ("file:///etc/hosts", "a link of kind file"),
    ],
)
def test_the_link_checker_says_what_is_wrong(tmp_path, link, wrong):
    for name, text in SITE.items():
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_text(text + (f'<a href="{link}">new</a>' if link and name == "index.html" else ""))
    assert broken(tmp_path / "site") == ([f"index.html: {link}: {wrong}"] if wrong else [])


def test_a_site_without_a_page_for_a_pass_is_missing_one(tmp_path):
    for name in registry.Registry.load().names():
        (tmp_path / "passes" / name).mkdir(parents=True)
        (tmp_path / "passes" / name / "index.html").touch()
    for cls in BUILT_IN:
        (tmp_path / "lints" / cls.code).mkdir(parents=True)
        (tmp_path / "lints" / cls.code / "index.html").touch()
    assert docs_site.missing(tmp_path) == []
    (tmp_path / "passes" / "rotary" / "index.html").unlink()
    assert docs_site.missing(tmp_path) == ["no page passes/rotary"]


@needs_mkdocs
def test_a_broken_link_fails_the_check(tmp_path):
    """One build for three faults. That the pages as they are have none is what CI's own step says."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    page = tmp_path / "docs" / "index.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n[a](guides/gone.md) [b](cli.md#no-such-verb)\n", encoding="utf-8")
    (tmp_path / "docs" / "orphan.md").write_text("# In no navigation\n")
    command = [sys.executable, str(ROOT / "tools" / "docs_site.py"), "--check", "--docs", str(tmp_path / "docs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "guides/gone.md" in done.stderr
    assert "no-such-verb" in done.stderr
    assert "orphan.md" in done.stderr
