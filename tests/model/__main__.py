"""The deep run: every set of bounds, whole, then random courses for the time that is left."""

from __future__ import annotations

import argparse
import json
import random
import sys
import time

from .book import BOUNDED, DEEP, WALKS, title
from .explore import Found, explore, walk

# Of the time so much is for random courses, and more if the rest ends early.
SHARE_OF_WALKS = 0.4
MAX_STATES = 2_500_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.model", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1200, help="for all of it (1200)")
    parser.add_argument("--seed", type=int, help="of the random courses; any, printed")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--only", metavar="TEXT", default="", help="bounds whose title has it")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
    end = time.monotonic() + options.seconds
    rows: list[dict[str, str]] = []
    good = _explore_all(rows, options.only, end - SHARE_OF_WALKS * options.seconds)
    chosen = [bounds for bounds in WALKS if options.only in title(bounds)]
    for number, bounds in enumerate(chosen):
        seconds = max(1.0, (end - time.monotonic()) / (len(chosen) - number))
        found = walk(bounds, seed, seconds)
        good = _tell(rows, found, f"{title(bounds)}, at random, seed {seed}") and good
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump({"part": "model", "ok": good, "rows": rows}, file)
    return 0 if good else 1


def _explore_all(rows: list[dict[str, str]], only: str, end: float) -> bool:
    good = True
    skipped = 0
    states = steps = 0
    for bounds in [*BOUNDED, *DEEP]:
        if only not in title(bounds):
            continue
        seconds = end - time.monotonic()
        if seconds < 1:
            skipped += 1
            continue
        found = explore(bounds, max_states=MAX_STATES, seconds=seconds)
        states, steps = states + found.states, steps + found.steps
        good = _tell(rows, found, title(bounds)) and good
    if skipped:
        print(f"{skipped} sets of bounds were left out: --seconds is too short", flush=True)
    total = f"{states:,} states, {steps:,} steps".replace(",", " ").replace("  ", ", ")
    rows.append({"what": "all of these", "figure": total})
    return good


def _tell(rows: list[dict[str, str]], found: Found, what: str) -> bool:
    rows.append({"what": what, "figure": found.figure})
    back = ", ".join(f"{how} {count}" for how, count in sorted(found.returned.items()))
    print(f"{what}: {found.figure} ({found.seconds:.1f} s)" + (f"; {back}" if back else ""))
    for words, count in sorted(found.acts.items()):
        print(f"    {words} ({count})")
    if found.violations:
        print(found.told)
    sys.stdout.flush()
    return not found.violations


if __name__ == "__main__":
    sys.exit(main())
