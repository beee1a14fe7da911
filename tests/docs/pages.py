"""The pages of docs/ taken apart: marked blocks, links, headings, tables.

A fenced block says in a comment on the line before it what it is; the comment is
not seen when the page is rendered.

    <!-- run: TOOL STEP -->   commands: by pcs, crm or xml (three ways to one
                              configuration), any (with either), sh (on a node, no
                              cluster), lab (on a real disk), paths (on a map)
    <!-- file: NAME -->       a file that the commands need
    <!-- prints -->           exactly what the block before prints
    <!-- shown: REASON -->    not run, and why
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..lab.guest import REPO

DOCS = REPO / "docs"
PAGES = sorted(DOCS.glob("*.md"))
# The disks of the examples.
DISKS = tuple(f"/dev/disk/by-id/wwn-0x600140500000000000000000000000a{n}" for n in (1, 2))
# All of them.
PATTERN = "/dev/disk/by-id/wwn-0x600140500000000000000000000000a[12]"
KINDS = ("run", "file", "prints", "shown")
TOOLS = ("pcs", "crm", "xml")
OTHER_TOOLS = ("any", "sh", "lab", "paths")

MARK = re.compile(r"\s*<!-- (\w+)(?:: (.*?))? -->\s*$")
FENCE = re.compile(r"(\s*)```(\w*)\s*$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"#{1,6} +(.*)")


class Block(NamedTuple):
    """One fenced block; `kind` and `words` are from its mark, empty where it has none."""

    page: Path
    line: int
    language: str
    kind: str
    words: str
    text: str

    @property
    def where(self) -> str:
        """Its place, for a message."""
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    mark, body, opened, language, indent = ("", ""), [""], 0, "", ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if opened and fence and not fence[2]:
            text = "".join(f"{each}\n" for each in body)
            yield Block(page, opened, language, mark[0], mark[1], text)
            opened, mark = 0, ("", "")
        elif opened:
            body.append(line.removeprefix(indent))
        elif fence:
            opened, language, indent, body = number, fence[2], fence[1], []
        else:
            found = MARK.match(line)
            mark = (found[1], found[2] or "") if found else ("", "")
    if opened:
        raise ValueError(f"{page.name}:{opened}: the block is not closed")


def every_block() -> list[Block]:
    """The blocks of all pages."""
    return [block for page in PAGES for block in blocks(page)]


def step(tool: str, name: str) -> str:
    """The commands of a step by one tool, or by either."""
    (found,) = [b for b in every_block() if b.kind == "run" and b.words == f"{tool} {name}"]
    return found.text


def prints(tool: str, name: str) -> str:
    """What the page says that a step prints."""
    every = every_block()
    at = [b.words for b in every].index(f"{tool} {name}")
    if every[at + 1].kind != "prints":
        raise ValueError(f"{every[at].where}: the page does not say what it prints")
    return every[at + 1].text


def files() -> dict[str, str]:
    """The files that the pages show, by name."""
    return {block.words: block.text for block in every_block() if block.kind == "file"}


def prose(page: Path) -> list[str]:
    """The lines of a page outside of its blocks."""
    lines, inside = [], False
    for line in page.read_text().splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            lines.append(line)
    return lines


def links(page: Path) -> list[str]:
    """Where the links of a page lead."""
    return LINK.findall("\n".join(prose(page)))


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub makes anchors of them."""
    found = set()
    for line in prose(page):
        heading = HEADING.fullmatch(line)
        if heading:
            kept = re.sub(r"[^\w\- ]", "", heading[1].lower())
            found.add(kept.replace(" ", "-"))
    return found


def rows(page: Path, first: str) -> list[list[str]]:
    """The rows of the table whose heading's first cell is `first`, cells without blanks."""
    found: list[list[str]] = []
    inside = False
    for line in prose(page):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells[0] == first:
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and set(line) - set("|- "):
            found.append(cells)
    if not found:
        raise ValueError(f"{page.name}: no table {first!r}")
    return found


def words_in(cell: str) -> list[str]:
    """The words that stand in backticks."""
    return re.findall(r"`([^`]+)`", cell)
