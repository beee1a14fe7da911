"""The two tables of docs/SAFETY.md that are made, not typed.

Each stands between ``<!-- made: NAME -->`` and ``<!-- end: NAME -->``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..mutants.book import ROOT, rules

PAGE = ROOT / "docs" / "SAFETY.md"
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
    """For each rule the breaks of the product's code, and the tests that notice each."""
    lines = []
    for number, (words, mutants) in rules().items():
        title, _, rest = words.partition(": ")
        lines += [f"### {title}: {rest}", "", "| break | noticed by |", "|---|---|"]
        for mutant in mutants:
            files = dict.fromkeys(each.split("::")[0] for each in mutant.by)
            links = ", ".join(f"[{Path(file).name}](../{file})" for file in files)
            lines.append(f"| {mutant.what} | {links} |")
        if number != max(rules()):
            lines.append("")
    return "\n".join(lines) + "\n"


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
