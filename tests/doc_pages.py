"""The pages of the documentation, taken apart: code blocks, command lines, links, anchors."""

import re
import shlex
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced code block."""

    language: str
    text: str


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[Block]:
    """The fenced code blocks of a page, in order."""
    return [Block(*found.groups()) for found in FENCE.finditer(text_of(page))]


def prose(page: Path) -> str:
    """The page without its code blocks, fenced or indented."""
    text = FENCE.sub("", text_of(page))
    return "\n".join(line for line in text.splitlines() if not line.startswith("    "))


def code_lines(page: Path) -> list[str]:
    """The lines of shell code of a page, fenced or indented, with continued lines joined."""
    fenced = "\n".join(block.text for block in blocks(page) if block.language in ("bash", "sh", ""))
    rest = FENCE.sub("", text_of(page))
    indented = "\n".join(line[4:] for line in rest.splitlines() if line.startswith("    "))
    return re.sub(r"\\\n\s*", "", f"{fenced}\n{indented}").splitlines()


def deepmat_arguments(line: str) -> list[str] | None:
    """The arguments of deepmat in a line of shell code, or None if it does not run deepmat."""
    found = re.match(r"(?:deepmat|(?:torchrun|accelerate launch|python)\b.* -m deepmat)(?= |$)(.*)", line)
    return shlex.split(found[1], comments=True) if found else None


def commands(page: Path) -> list[list[str]]:
    """The arguments of every deepmat command line in the code of a page."""
    found = [deepmat_arguments(line) for line in code_lines(page)]
    return [arguments for arguments in found if arguments is not None and "..." not in arguments]


def inline_code(page: Path) -> list[str]:
    """The code spans in the prose of a page."""
    return INLINE.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = FENCE.sub("", text_of(page))
    return {slug(heading) for heading in HEADING.findall(text)}


def slug(heading: str) -> str:
    """The anchor of a heading: lower case, no punctuation, hyphens for spaces."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", words).strip())


def links(page: Path) -> list[str]:
    """The targets of a page's links and pictures."""
    return LINK.findall(prose(page))


def section(page: Path, heading: str) -> str:
    """The text of a page below a heading, up to the next one of the same or a higher level."""
    level = heading.index(" ")
    end = rf"(?=^#{{1,{level}}} |\Z)"
    found = re.search(rf"^{re.escape(heading)}$\n(.*?){end}", text_of(page), re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no heading {heading!r}"
    return found[1]
