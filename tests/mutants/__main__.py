"""Every mutant against whole folders of tests: who notices it, and how many do.

The tests that run in minutes and need no lab: the procedures in the world of
simulated LUs, the model checker, and for what lies outside the procedures the unit
tests and the agent's.
"""

from __future__ import annotations

import argparse
import json
import sys

from .book import Mutant, mutants
from .trial import Verdict, try_all

BARRIER = ("tests/barrier", "tests/model")
# Walls, linters and exported files would notice any change; that is not the point here.
UNIT = ("tests/unit", "--ignore=tests/unit/test_lint.py", "--ignore=tests/unit/test_house.py")
UNIT += ("--ignore=tests/unit/test_install.py", "--ignore=tests/unit/test_metadata.py")
UNIT += ("--ignore=tests/unit/test_ocf_metadata.py",)
AGENT = ("tests/agent",)
PROCEDURES = ("barrier/", "scsi/", "key.py")
BYTES = ("scsi/", "key.py")


def suites(mutant: Mutant) -> list[str]:
    """The folders whose tests could notice it."""
    files = tuple(hunk.file for hunk in mutant.hunks)
    chosen: list[str] = []
    if any(file.startswith(PROCEDURES) for file in files):
        chosen += BARRIER
    if any(not file.startswith(PROCEDURES) or file.startswith(BYTES) for file in files):
        chosen += UNIT
    if any(not file.startswith(PROCEDURES) for file in files):
        chosen += AGENT
    return chosen


def by_whom(failed: tuple[str, ...]) -> str:
    """How many tests of which folders noticed."""
    counts: dict[str, int] = {}
    for each in failed:
        folder = each.split("/")[1]
        counts[folder] = counts.get(folder, 0) + 1
    return ", ".join(f"{folder} {count}" for folder, count in sorted(counts.items()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.mutants", description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--named", action="store_true", help="only the tests that each names")
    options = parser.parse_args()
    verdicts: list[Verdict] = []
    jobs = [(each, each.by if options.named else suites(each)) for each in mutants()]
    for verdict in try_all(jobs, first_only=options.named):
        verdicts.append(verdict)
        mutant = verdict.mutant
        told = by_whom(verdict.failed) or verdict.trouble or "NOBODY NOTICED"
        print(f"rule {mutant.rule:2}: {mutant.what}: {told}", flush=True)
    caught = sum(verdict.caught for verdict in verdicts)
    rows = [{"what": "mutants", "figure": f"{len(verdicts)}"}]
    rows.append({"what": "noticed", "figure": f"{caught}"})
    if not options.named:
        fewest = min(len(verdict.failed) for verdict in verdicts)
        rows.append({"what": "fewest tests that notice one", "figure": f"{fewest}"})
        for folder in ("barrier", "model", "unit", "agent"):
            alone = sum(f"{folder} " in by_whom(verdict.failed) for verdict in verdicts)
            rows.append({"what": f"of these noticed by tests/{folder}", "figure": f"{alone}"})
    good = caught == len(verdicts)
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump({"part": "mutants", "ok": good, "rows": rows}, file)
    print(f"{caught} of {len(verdicts)} mutants noticed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
