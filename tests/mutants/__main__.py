"""Every mutant against the tests that it names: does one of them notice?

With --folders, against whole folders of tests instead, each until one test notices: which
folders do.  It takes hours.  The folders are those that need no lab: the procedures among
simulated LUs, the model checker, and for what lies outside the procedures the unit tests
and the agent's.
"""

from __future__ import annotations

import argparse
import json
import sys

from .book import Mutant, mutants
from .trial import Verdict, try_all

PROCEDURES = ("barrier/", "scsi/", "key.py")
BYTES = ("scsi/", "key.py")
# Walls, linters and exported files would notice any change; that is not the point here.
LEFT_OUT = ("lint", "house", "install", "metadata", "ocf_metadata")
NAMED = "named"
FOLDERS = {
    "barrier": ("tests/barrier",),
    "model": ("tests/model",),
    "unit": ("tests/unit", *(f"--ignore=tests/unit/test_{name}.py" for name in LEFT_OUT)),
    "agent": ("tests/agent",),
}


def folders(mutant: Mutant) -> list[str]:
    """Those whose tests could notice it."""
    files = [hunk.file for hunk in mutant.hunks]
    outside = any(not file.startswith(PROCEDURES) for file in files)
    chosen = []
    if any(file.startswith(PROCEDURES) for file in files):
        chosen += ["barrier", "model"]
    if outside or any(file.startswith(BYTES) for file in files):
        chosen.append("unit")
    return [*chosen, "agent"] if outside else chosen


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.mutants", description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--folders", action="store_true", help="whole folders, not the named tests")
    parser.add_argument("--only", metavar="TEXT", default="", help="mutants that are called so")
    options = parser.parse_args()
    everything = [each for each in mutants() if options.only in each.what]
    named = [(each, NAMED) for each in everything]
    jobs = [(each, name) for each in everything for name in folders(each)]
    jobs = jobs if options.folders else named
    noticed: dict[Mutant, list[str]] = {each: [] for each in everything}
    tried: dict[str, int] = {}
    tests = ((each, each.by if name == NAMED else FOLDERS[name]) for each, name in jobs)
    verdicts = try_all(tests, first_only=True)
    for (mutant, name), verdict in zip(jobs, verdicts):
        tried[name] = tried.get(name, 0) + 1
        if verdict.caught:
            noticed[mutant].append(name)
        print(f"rule {mutant.rule}: {mutant.what}: {name}: {_told(verdict)}", flush=True)
    missed = [each.what for each in everything if not noticed[each]]
    rows = [
        {"what": "mutants", "figure": f"{len(everything)}"},
        {"what": "noticed", "figure": f"{len(everything) - len(missed)}"},
    ]
    for name, count in tried.items() if options.folders else ():
        caught = sum(name in each for each in noticed.values())
        rows.append({"what": f"noticed by tests/{name}", "figure": f"{caught} of {count} tried"})
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump({"part": "mutants", "ok": not missed, "rows": rows}, file)
    for what in missed:
        print(f"NOBODY NOTICED: {what}")
    return 1 if missed else 0


def _told(verdict: Verdict) -> str:
    return verdict.trouble or (verdict.failed[0] if verdict.failed else "not noticed")


if __name__ == "__main__":
    sys.exit(main())
