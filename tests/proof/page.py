"""What of docs/SAFETY.md and docs/breaks.md is made, not typed.

On the first page each made table stands between ``<!-- made: NAME -->`` and ``<!-- end: NAME -->``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..mutants.book import ROOT, rules

PAGE = ROOT / "docs" / "SAFETY.md"
BREAKS = ROOT / "docs" / "breaks.md"
FIGURES, RULES = "figures", "rules"


def block_of(text: str, name: str) -> str:
    """What stands in a made block; ValueError if it is not there once."""
    begin, end = f"<!-- made: {name} -->\n", f"<!-- end: {name} -->\n"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"no single block {name!r}")
    return text.split(begin)[1].split(end)[0]


def with_block(text: str, name: str, content: str) -> str:
    """The page with another content of a made block."""
    begin, end = f"<!-- made: {name} -->\n", f"<!-- end: {name} -->\n"
    return text.replace(begin + block_of(text, name) + end, begin + content + end)


def rule_table() -> str:
    """For each rule how many breaks of the product's code there are, and which tests notice."""
    lines = ["| rule | breaks | noticed by |", "|---|---|---|"]
    for number, (words, mutants) in rules().items():
        files = sorted({each.split("::")[0] for mutant in mutants for each in mutant.by})
        title = words.partition(": ")[2]
        lines.append(f"| {number}. {title} | {len(mutants)} | {_links(files)} |")
    return "\n".join(lines) + "\n"


def breaks_page() -> str:
    """docs/breaks.md: every break, and the tests that notice it."""
    lines = [
        "# Breaks: what the tests must notice",
        "",
        "Back to [Safety](SAFETY.md). Made from `tests/mutants/rules` by"
        " `python3 -m tests.proof --tables`.",
    ]
    for words, mutants in rules().values():
        title = words.partition(": ")
        lines += ["", f"## {title[0]}", "", title[2], "", "| break | noticed by |", "|---|---|"]
        for mutant in mutants:
            files = dict.fromkeys(each.split("::")[0] for each in mutant.by)
            lines.append(f"| {mutant.what} | {_links(files)} |")
    return "\n".join(lines) + "\n"


def _links(files: Iterable[str]) -> str:
    return ", ".join(f"[{Path(file).stem}](../{file})" for file in files)


def figure_table(found: Mapping[str, Sequence[Mapping[str, str]]], circumstances: str) -> str:
    """Part by part what its deep run counted."""
    lines = [circumstances, "", "| part | what | figure |", "|---|---|---|"]
    for part, rows in found.items():
        lines += [f"| {part} | {row['what']} | {row['figure']} |" for row in rows]
    return "\n".join(lines) + "\n"


def parts_of(table: str) -> dict[str, dict[str, str]]:
    """figure_table() read back: part -> what -> figure."""
    found: dict[str, dict[str, str]] = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0] != "part" and set(cells[0]) != {"-"}:
            found.setdefault(cells[0], {})[cells[1]] = cells[2]
    return found
