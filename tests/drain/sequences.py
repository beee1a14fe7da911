"""Ways to drain, as bare commands of the survivor: nothing of the product is in between."""

from __future__ import annotations

import time
from typing import Callable, NamedTuple

from ..lab.inguest_scsi import pr_out
from ..lab.model import Reply
from .ground import LUN, SURVIVOR, VICTIM, Ground

WERO = 5
PREEMPT, PREEMPT_AND_ABORT = 4, 5
SYNCHRONIZE_CACHE = bytes((0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0))
SHORT_S, PAUSE_S = 5.0, 5.0
PATIENCE_S = 60.0


class Step(NamedTuple):
    """What one step came to: its name, '' or what was wrong, and seconds."""

    name: str
    wrong: str
    seconds: float


class Strike:
    """One sequence under way: whose keys, and what came of each step."""

    def __init__(self, ground: Ground) -> None:
        """Look at who has which key."""
        bears = ground.storage.bears(LUN)
        own, victim = bears.key(SURVIVOR), bears.key(VICTIM)
        assert own is not None and victim is not None
        self.ground, self.own, self.victim = ground, own, victim
        self.steps: list[Step] = []

    def preempt(self) -> None:
        """PREEMPT: the key goes, nothing is aborted."""
        self._out("PREEMPT", PREEMPT)

    def preempt_and_abort(self, seconds: float = PATIENCE_S) -> None:
        """PREEMPT AND ABORT."""
        self._out("PREEMPT AND ABORT", PREEMPT_AND_ABORT, seconds)

    def _out(self, name: str, action: int, seconds: float = PATIENCE_S) -> None:
        cdb, parameters = pr_out(action, self.own, self.victim, WERO)
        self._command(name, bytes.fromhex(cdb), bytes.fromhex(parameters), seconds)

    def flush(self) -> None:
        """SYNCHRONIZE CACHE of the whole LU."""
        self._command("SYNCHRONIZE CACHE", SYNCHRONIZE_CACHE)

    def _command(self, name: str, cdb: bytes, out: bytes = b"", s: float = PATIENCE_S) -> None:
        began = time.monotonic()
        for _ in range(4):
            said = self.ground.scsi(cdb, out, s)
            if said.asc is None or not said.asc.startswith("6/"):
                break
        self.steps.append(Step(name, _wrong(said), time.monotonic() - began))

    def reset(self) -> None:
        """LOGICAL UNIT RESET."""
        wrong, seconds = self.ground.reset()
        self.steps.append(Step("LU RESET", wrong, seconds))

    def pause(self) -> None:
        """Nothing, for PAUSE_S."""
        time.sleep(PAUSE_S)
        self.steps.append(Step("pause", "", PAUSE_S))


def _wrong(said: Reply) -> str:
    if said.good:
        return ""
    return said.errno or said.asc or f"{said.status:02X}h/{said.host_status:02X}h"


def _short_then_reset(strike: Strike) -> None:
    strike.preempt_and_abort(SHORT_S)
    strike.reset()


def _all(*names: str) -> Callable[[Strike], None]:
    def run(strike: Strike) -> None:
        for name in names:
            getattr(strike, name)()

    return run


SEQUENCES: dict[str, Callable[[Strike], None]] = {
    "PREEMPT AND ABORT": _all("preempt_and_abort"),
    "PREEMPT AND ABORT, reset": _all("preempt_and_abort", "reset"),
    f"PREEMPT AND ABORT of {SHORT_S:g} s, reset": _short_then_reset,
    "PREEMPT, reset": _all("preempt", "reset"),
    "reset, PREEMPT, reset": _all("reset", "preempt", "reset"),
    "reset, PREEMPT AND ABORT": _all("reset", "preempt_and_abort"),
    f"PREEMPT, {PAUSE_S:g} s, reset": _all("preempt", "pause", "reset"),
    "PREEMPT, SYNCHRONIZE CACHE, reset": _all("preempt", "flush", "reset"),
}
