"""Every step of every action, disturbed: ``python -m tests.hostile --json FILE``.

Signals, events while a process is stopped, and errors of the system, at every
step that the undisturbed action was seen to take; then the crowd.  ``--seconds N``
ends each kind after so long, ``--seed N`` takes another order.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from . import campaign
from .crowd import SIZE, Crowd
from .scene import ACTS, MEMORY_DISK, Scene
from .trap import why_not

ROUNDS = 40


def crowds(scene: Scene, options: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    """What is wrong after rounds of twenty agents at once, and the row that counts them."""
    crowd = Crowd(scene, options.seed)
    wrong = []
    rounds = 0
    end = None if options.seconds is None else time.monotonic() + options.seconds
    while rounds < ROUNDS and (end is None or time.monotonic() < end):
        situation = ("joined", "fresh")[rounds % 2]
        for complaint in crowd.round(situation, killed=6 * (rounds // 2 % 2)):
            print(f"FOUND crowd, round {rounds}, {situation}: {complaint}", flush=True)
            wrong.append(complaint)
        rounds += 1
    ends = ", ".join(f"{end}: {number}" for end, number in crowd.ends.most_common())
    figure = f"{rounds} rounds of {SIZE} ({ends}); {len(wrong)} findings"
    print(f"crowd: {figure}", flush=True)
    return wrong, {"what": "hostile: agents of one node at once", "figure": figure}


def main() -> int:
    """Exit code 1 where something was found, or nothing can be tried here."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--seconds", type=float, help="for each kind; all cases without it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=[kind.name for kind in campaign.KINDS])
    parser.add_argument("--act", choices=[act.name for act in ACTS], help="this action only")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    reason = why_not()
    if reason:
        print(f"nothing tried: {reason}")
        return 1
    tallies = []
    with tempfile.TemporaryDirectory(dir=MEMORY_DISK) as folder:
        scene = Scene(Path(folder)).set_up()
        for kind in campaign.KINDS:
            if options.kind in (None, kind.name):
                tallies.append(
                    campaign.run(
                        kind, scene, options.seed, seconds=options.seconds,
                        hear=lambda text: print(text, flush=True), act=options.act,
                    )
                )  # fmt: skip
        wrong, row = crowds(scene, options) if not (options.kind or options.act) else ([], None)
    rows = [{"what": f"hostile: {tally.kind}", "figure": str(tally)} for tally in tallies]
    rows += [row] if row else []
    ok = not wrong and not any(tally.findings for tally in tallies)
    if options.json:
        options.json.write_text(json.dumps({"part": "hostile", "ok": ok, "rows": rows}, indent=1))
    return 0 if ok else 1


sys.exit(main())
