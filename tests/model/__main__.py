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
    share = end - SHARE_OF_WALKS * options.seconds
    explored, left_out = _explore_all(options.only, share)
    walked = []
    chosen = [bounds for bounds in WALKS if options.only in title(bounds)]
    for number, bounds in enumerate(chosen):
        seconds = max(1.0, (end - time.monotonic()) / (len(chosen) - number))
        walked.append(walk(bounds, seed, seconds))
        _tell(walked[-1], f"{title(bounds)}, at random, seed {seed}")
    good = not any(found.violations for found in explored + walked)
    rows = _figures(explored, left_out) + _figures_of_walks(walked, seed)
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump({"part": "model", "ok": good, "rows": rows}, file)
    return 0 if good else 1


def _explore_all(only: str, end: float) -> tuple[list[Found], int]:
    """What was seen of each set of bounds, and how many the time was too short for."""
    explored = []
    left_out = 0
    for bounds in [*BOUNDED, *DEEP]:
        if only not in title(bounds):
            continue
        seconds = end - time.monotonic()
        if seconds < 1:
            left_out += 1
            continue
        explored.append(explore(bounds, max_states=MAX_STATES, seconds=seconds))
        _tell(explored[-1], title(bounds))
    if left_out:
        print(f"{left_out} sets of bounds were left out: --seconds is too short", flush=True)
    return explored, left_out


def _figures(explored: list[Found], left_out: int) -> list[dict[str, str]]:
    whole = sum(found.whole for found in explored)
    faulty = sum(found.whole and bool(found.bounds.faults) for found in explored)
    return [
        _row("sets of bounds explored whole", whole),
        _row("of these with a fault at every step", faulty),
        _row("cut off, or left out, for want of time", len(explored) - whole + left_out),
        _row("states", sum(found.states for found in explored)),
        _row("steps", sum(found.steps for found in explored)),
        _row("ends of `off` that said success, each checked", _successes(explored)),
    ]


def _figures_of_walks(walked: list[Found], seed: int) -> list[dict[str, str]]:
    return [
        _row(f"random courses, seed {seed}", sum(found.walks for found in walked)),
        _row("steps on them", sum(found.steps for found in walked)),
        _row("ends of `off` on them that said success", _successes(walked)),
    ]


def _successes(every: list[Found]) -> int:
    return sum(
        count
        for found in every
        for words, count in found.acts.items()
        if " off " in words and words.endswith(": ok")
    )


def _row(what: str, figure: int) -> dict[str, str]:
    return {"what": what, "figure": f"{figure:,}".replace(",", " ")}


def _tell(found: Found, what: str) -> None:
    back = ", ".join(f"{how} {count}" for how, count in sorted(found.returned.items()))
    print(f"{what}: {found.figure} ({found.seconds:.1f} s)" + (f"; {back}" if back else ""))
    for words, count in sorted(found.acts.items()):
        print(f"    {words} ({count})")
    if found.violations:
        print(found.told)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
