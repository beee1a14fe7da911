"""The deep run of every part of the proof, and the tables of docs/SAFETY.md from it.

Each part is a command of its own that counts what it does; what it counted is
what the page tells.  A part that finds something wrong ends with exit code 1,
and the page is then left as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from typing import Callable

from .page import (
    BREAKS,
    FIGURES,
    PAGE,
    RULES,
    block_of,
    breaks_page,
    figure_table,
    parts_of,
    rule_table,
    with_block,
)

# Part -> the arguments of its deep run, from the minutes that it is given; those that take as
# long as they take have none.
PARTS: dict[str, Callable[[int], list[str]]] = {
    "model": lambda minutes: ["--seconds", str(minutes * 60)],
    "mutants": lambda minutes: ["--folders"] if minutes >= MINUTES_FOR_FOLDERS else [],
    "agreement": lambda minutes: ["--sequences", str(minutes * SEQUENCES_PER_MINUTE)],
    "drain": lambda minutes: ["--repeat", "1", "--kills", str(max(3, minutes // 5))],
    "fuzz": lambda minutes: ["--seconds", str(minutes * 60)],
    "hostile": lambda minutes: ["--seconds", str(minutes * 20)],  # for each of three kinds
}
SEQUENCES_PER_MINUTE = 1000
# Rows that begin so are of bare commands; docs/draining.md has them.
ON_ANOTHER_PAGE = {"drain": ("PREEMPT", "reset,")}
MINUTES_FOR_FOLDERS = 60


def run_part(part: str, minutes: int) -> tuple[bool, list[dict[str, str]]]:
    """Whether all was well, and what was counted."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="proof-") as folder:
        command = [sys.executable, "-m", f"tests.{part}", *PARTS[part](minutes)]
        print(f"== {part}: {' '.join(command[1:])}", flush=True)
        command += ["--json", os.path.join(folder, f"{part}.json")]
        code = subprocess.run(command, check=False).returncode
        good, rows = read_figures(folder, part)
    minutes_taken = f"{(time.monotonic() - began) / 60:.0f} min"
    rows.append({"what": "time of this run", "figure": minutes_taken})
    return code == 0 and good, rows


def read_figures(folder: str, part: str) -> tuple[bool, list[dict[str, str]]]:
    """What a deep run wrote with --json FOLDER/PART.json."""
    try:
        with open(os.path.join(folder, f"{part}.json"), encoding="utf-8") as file:
            told = json.load(file)
    except (OSError, ValueError) as error:
        print(f"{part}: no figures: {error}", file=sys.stderr)
        return False, []
    elsewhere = ON_ANOTHER_PAGE.get(part, ())
    rows = [row for row in told["rows"] if not row["what"].startswith(elsewhere)]
    return bool(told["ok"]) and told["part"] == part, rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.proof", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--minutes", type=int, default=60, help="for each part (60)")
    parser.add_argument(
        "--figures", metavar="FOLDER", help="of runs that are over: each wrote FOLDER/PART.json"
    )
    parser.add_argument("--tables", action="store_true", help="run nothing, write the rules' table")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: expected {', '.join(PARTS)}")
    text = PAGE.read_text()
    wrong = []
    if not options.tables:
        before = parts_of(block_of(text, FIGURES))
        found = {
            part: [{"what": what, "figure": figure} for what, figure in before[part].items()]
            for part in PARTS
            if part in before
        }
        for part in options.parts or PARTS:
            if options.figures:
                good, rows = read_figures(options.figures, part)
            else:
                good, rows = run_part(part, options.minutes)
            if not good:
                wrong.append(part)
            found[part] = rows
        in_order = {part: found[part] for part in PARTS if part in found}
        table = figure_table(in_order, _circumstances())
        print(table)
        if wrong:
            print(f"something is wrong in: {', '.join(wrong)}; see above", file=sys.stderr)
            return 1
        text = with_block(text, FIGURES, table)
    PAGE.write_text(with_block(text, RULES, rule_table()))
    BREAKS.write_text(breaks_page())
    return 0


def _circumstances() -> str:
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} processors, Python"
        f" {platform.python_version()}."
    )


if __name__ == "__main__":
    sys.exit(main())
