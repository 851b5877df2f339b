"""Whether every link of a built site leads somewhere: pages, files and anchors within it; addresses outside only by their form."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ATTRIBUTES = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src"}


@dataclass
class Page(HTMLParser):
    """The links and anchors of one page."""

    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag leads to and what it is called."""
        given = dict(attrs)
        self.anchors |= {name for name in (given.get("id"), given.get("name") if tag == "a" else None) if name}
        target = given.get(ATTRIBUTES.get(tag, ""))
        if target:
            self.links.append(target)


def broken(site: Path) -> list[str]:
    """``page: link: what is wrong``, for every link that leads nowhere."""
    pages = {}
    for path in sorted(site.rglob("*.html")):
        pages[path] = Page()
        pages[path].feed(path.read_text(encoding="utf-8"))
    root = site.resolve()
    found = []
    for path, page in pages.items():
        if path.name == "404.html":  # served under any address, so its links begin at the root of whatever serves it
            continue
        for link in page.links:
            wrong = _wrong(link, path, root, pages)
            if wrong:
                found.append(f"{path.relative_to(site).as_posix()}: {link}: {wrong}")
    return found


def _wrong(link: str, path: Path, root: Path, pages: dict[Path, Page]) -> str:
    parts = urlsplit(link)
    if parts.scheme in {"http", "https"}:
        return "" if parts.hostname and "." in parts.hostname and " " not in link else "no host"
    if parts.scheme in {"mailto", "data"}:
        return ""
    if parts.scheme or parts.netloc:
        return f"a link of kind {parts.scheme or 'without a scheme'}"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
    if not target.is_relative_to(root):
        return "leads out of the site"
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return "no such file"
    known = {page.resolve(): held for page, held in pages.items()}
    held = known.get(target)
    if parts.fragment and held is not None and unquote(parts.fragment) not in held.anchors:
        return "no such anchor"
    return ""
