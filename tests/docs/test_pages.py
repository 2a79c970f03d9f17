"""Links and anchors resolve, pages are reachable, the README stays short."""

import re
import sys
from pathlib import Path

import pytest
from doc_pages import DOCS, PAGES, ROOT, anchors, links, slug, text_of

if sys.version_info >= (3, 11):
    import tomllib


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_relative_links_and_anchors_resolve(page):
    for link in links(page):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link} leaves the repository"
        if page.parent == DOCS:
            assert target.is_relative_to(DOCS), f"{page.name}: {link} is not part of the site"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}; there are {sorted(anchors(target))}"


def test_anchors_are_those_of_github():
    assert slug("Whose test set is it?") == "whose-test-set-is-it"
    assert slug("deepmat data show") == "deepmat-data-show"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib")
def test_every_page_is_in_the_navigation_of_the_site():
    site = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]

    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        return [page for value in (entry if isinstance(entry, list) else entry.values()) for page in pages(value)]

    assert sorted(pages(site["nav"])) == sorted(path.name for path in DOCS.glob("*.md"))


def test_every_picture_is_used_and_small():
    texts = "".join(map(text_of, PAGES))
    for picture in [*DOCS.glob("*.png"), *DOCS.glob("*.jpg")]:
        assert picture.name in texts
        assert picture.stat().st_size < 700_000, f"{picture.name} is too large"


def test_the_readme_is_an_introduction():
    text = text_of(ROOT / "README.md")
    assert len(text.split()) < 900
    first_screen = text.splitlines()[:20]
    assert any(line.startswith("![") for line in first_screen), "a picture belongs on the first screen"
    assert any("deepmat predict" in line for line in first_screen + text.splitlines()[20:24])
    for page in DOCS.glob("*.md"):
        if page.stem not in ("index", "changelog"):
            assert f"docs/{page.name}" in text, f"the README does not link {page.name}"


def test_lines_are_not_too_long():
    """Prose is wrapped; tables and links are not."""
    for page in PAGES:
        for line in text_of(page).splitlines():
            assert len(line) <= 210 or line.startswith(("|", "![")), f"{page.name}: {line[:80]}"
