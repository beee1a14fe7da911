"""The mutants: one deliberate break of the product's code each, kept as text in ``rules/``.

A rule's file begins with the rule in words.  A mutant follows as

    == what is broken, in words
    file: barrier/evict.py          (below fence_prbarrier/)
    by: tests/barrier/test_x.py     (what catches it; may be repeated)
     a line that stays
    -a line that goes
    +a line that comes

``@@ [FILE]`` begins another hunk, in another file if one is named.  What a hunk
takes away must stand in its file exactly once.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PACKAGE = "fence_prbarrier"


class Hunk(NamedTuple):
    """``old`` becomes ``new`` in ``file``, a path below the package."""

    file: str
    old: str
    new: str


class Mutant(NamedTuple):
    """``by`` are the tests that must fail, as pytest takes them."""

    rule: int
    what: str
    hunks: tuple[Hunk, ...]
    by: tuple[str, ...]

    def put_into(self, tree: Path) -> None:
        """Break the copy of the package in ``tree``; ValueError where a hunk does not fit."""
        for hunk in self.hunks:
            path = tree / PACKAGE / hunk.file
            text = path.read_text()
            if text.count(hunk.old) != 1:
                raise ValueError(
                    f"{hunk.file}: stands there {text.count(hunk.old)} times:\n{hunk.old}"
                )
            path.write_text(text.replace(hunk.old, hunk.new))


def rules() -> dict[int, tuple[str, list[Mutant]]]:
    """Of each rule its words and its mutants."""
    found = {}
    for path in sorted((HERE / "rules").glob("*.txt")):
        number = int(path.name.split("-")[0])
        words, *blocks = path.read_text().split("\n== ")
        found[number] = (" ".join(words.split()), [_mutant(number, block) for block in blocks])
    return found


def mutants() -> list[Mutant]:
    """All of them, rule by rule."""
    return [mutant for _, each in rules().values() for mutant in each]


def _mutant(rule: int, block: str) -> Mutant:
    what, *lines = block.rstrip("\n").split("\n")
    hunks: list[Hunk] = []
    by: list[str] = []
    file = ""
    for line in lines:
        if line.startswith("file: "):
            file = line[len("file: ") :]
            hunks.append(Hunk(file, "", ""))
        elif line.startswith("by: "):
            by.append(line[len("by: ") :])
        elif line.startswith("@@"):
            file = line[2:].strip() or file
            hunks.append(Hunk(file, "", ""))
        elif line[:1] in (" ", "-", "+") and hunks:
            last = hunks[-1]
            old = "" if line[0] == "+" else f"{line[1:]}\n"
            new = "" if line[0] == "-" else f"{line[1:]}\n"
            hunks[-1] = Hunk(last.file, last.old + old, last.new + new)
        else:
            raise ValueError(f"rule {rule}, {what}: what is this line: {line!r}")
    return Mutant(rule, what, tuple(hunks), tuple(by))
