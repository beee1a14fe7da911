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
from pathlib import Path

from . import campaign
from .scene import MEMORY_DISK, Scene
from .trap import why_not


def main() -> int:
    """Exit code 1 where something was found, or nothing can be tried here."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--seconds", type=float, help="for each kind; all cases without it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=[kind.name for kind in campaign.KINDS])
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
                        hear=lambda text: print(text, flush=True),
                    )
                )  # fmt: skip
    rows = [{"what": f"hostile: {tally.kind}", "figure": str(tally)} for tally in tallies]
    ok = not any(tally.findings for tally in tallies)
    if options.json:
        options.json.write_text(json.dumps({"part": "hostile", "ok": ok, "rows": rows}, indent=1))
    return 0 if ok else 1


sys.exit(main())
