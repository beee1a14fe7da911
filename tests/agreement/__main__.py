"""LIO and the simulator's profile `lio`: random sequences of commands to both, as many as wanted.

Boots a lab of its own, and so needs root. Prints each kind of difference once, as the shortest
sequence that shows it; exit code 1 where there is one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from ..lab.guest import LabError, why_not
from ..lab.san import Lab
from .abstractions import ABSTRACTIONS
from .compare import Coverage, Difference, difference, hunt, shrink, transcript
from .deviations import LIO
from .sides import Lio

EVERY = 1000  # sequences between two lines of progress


def grouped(number: int) -> str:
    """A number for people: 1 234 567."""
    return f"{number:,}".replace(",", " ")


def run(lio: Lio, seed: int, sequences: int, coverage: Coverage) -> list[Difference]:
    """Run sequences; the first difference of each kind."""
    found: dict[tuple[str, str, str], Difference] = {}
    done = 0
    while done < sequences:
        part = min(EVERY, sequences - done)
        for each in hunt(lio, seed + done, part, coverage):
            if each.kind not in found:
                found[each.kind] = each
                print(f"--seed {seed + done} --sequences {coverage.sequences - done}:")
                print(transcript(shrink(lio, each), lio), flush=True)
        done += part
        told = f"{grouped(coverage.sequences)} sequences, {grouped(coverage.commands)} commands"
        print(f"{told}, {len(coverage.outcomes)} outcomes, {len(found)} differences", flush=True)
    return list(found.values())


def still_left_out(lio: Lio) -> int:
    """How many of the listed abstractions are seen to differ; says which do not."""
    seen = 0
    for each in ABSTRACTIONS:
        script = each.script(lio.nexuses)
        generation, told = lio.run([script])[0]
        found = difference(generation, script, told, lio)
        if found is not None and found.sequence == tuple(script):
            seen += 1
        else:
            print(f"does not differ any more, or elsewhere: {each.what}")
    return seen


def figures(coverage: Coverage, found: int, kernel: str) -> list[dict[str, str]]:
    """The rows for docs/SAFETY.md."""
    lines: list[tuple[str, str]] = [
        ("sequences from three nexuses to LIO and to profile `lio`", grouped(coverage.sequences)),
        ("commands in them", grouped(coverage.commands)),
        ("kinds of command and outcome seen", grouped(len(coverage.outcomes))),
        ("answers that differ in a byte", grouped(found)),
        ("things that LIO does and profile `lio` does not, listed", grouped(len(ABSTRACTIONS))),
        ("deviations of LIO from the standard, listed", grouped(len(LIO))),
        ("kernel", kernel),
    ]
    return [{"what": what, "figure": figure} for what, figure in lines]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.agreement", description=__doc__)
    parser.add_argument("--sequences", type=int, default=20000, help="how many (20000)")
    parser.add_argument("--seed", type=int, help="to find the same again; else from the clock")
    parser.add_argument("--outcomes", action="store_true", help="print how often each was seen")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    reason = why_not()
    if reason is not None:
        print(f"the lab cannot run: {reason}", file=sys.stderr)
        return 1
    seed = int(time.time()) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    coverage = Coverage()
    try:
        with Lab(1) as lab:
            lio = Lio(lab)
            found = run(lio, seed, options.sequences, coverage)
            listed = still_left_out(lio)
            kernel = f"Linux {lab.ok('uname -r').strip()}"
    except LabError as error:
        print(f"the lab is broken: {error}", file=sys.stderr)
        return 1
    if options.outcomes:
        for (command, outcome), count in sorted(coverage.outcomes.items()):
            print(f"{count:8}  {command}: {outcome}")
    ok = not found and listed == len(ABSTRACTIONS)
    if options.json:
        rows = figures(coverage, len(found), kernel)
        with open(options.json, "w", encoding="ascii") as file:
            json.dump({"part": "agreement", "ok": ok, "rows": rows}, file)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
