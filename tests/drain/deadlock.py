"""Resets of two nodes, and a key removed by a third, while a write is held up (one kernel).

Linux LIO does one reset or PREEMPT AND ABORT of a LU at a time (lun_reset_mutex).  A reset aborts
every command that it finds, and so a PREEMPT AND ABORT that waits for its turn behind it: each
waits for the other, for ever, and the portal's login thread for both.
"""

from __future__ import annotations

import threading
import time

from ..lab.inguest_scsi import REGISTER_AND_IGNORE, pr_out
from ..lab.model import unit
from ..lab.san import INITIATORS, Lab

RESERVE, WERO = 1, 5
KEYS = {name: number for number, name in enumerate(INITIATORS, 1)}
APART_S = 0.4
WATCHED_S = 40.0
STUCK = "cat /proc/[0-9]*/stack 2>/dev/null | grep -c core_tmr_lun_reset"


def stuck_after(action: int, delay_ms: int) -> int:
    """Return how many threads of the target hang in a reset when all should long be over.

    ``action``: how n3 removes the key of n1, the holder: 4 is PREEMPT, 5 with ABORT.
    """
    with Lab([unit(0, delay_ms=delay_ms)]) as lab:
        for name, key in KEYS.items():
            _out(lab, name, REGISTER_AND_IGNORE, 0, key)
        _out(lab, "n1", RESERVE, KEYS["n1"], 0)
        pending = lab.start_write("n1", 0, 0, "held up")
        strikes = [
            threading.Thread(target=lab.reset_units, args=[[lab.sg("n1", 0)]], daemon=True),
            threading.Thread(target=lab.reset_units, args=[[lab.sg("n2", 0)]], daemon=True),
            threading.Thread(
                target=_out, args=[lab, "n3", action, KEYS["n3"], KEYS["n1"]], daemon=True
            ),
        ]
        for strike in strikes:
            strike.start()
            time.sleep(APART_S)
        deadline = time.monotonic() + WATCHED_S
        while any(s.is_alive() for s in strikes) and time.monotonic() < deadline:
            time.sleep(1)
        count = int(lab.guest.sh(STUCK).output)
        if not count:
            pending.result()
        return count


def _out(lab: Lab, name: str, action: int, key: int, other: int) -> None:
    """PERSISTENT RESERVE OUT, again after a unit attention."""
    cdb, parameters = pr_out(action, key, other, WERO if action != REGISTER_AND_IGNORE else 0)
    for _ in range(4):
        said = lab.scsi(
            lab.sg(name, 0), bytes.fromhex(cdb), bytes.fromhex(parameters), timeout=WATCHED_S
        )
        if not (said.asc or "").startswith("6/"):
            break
