"""Ways to drain, as bare commands of the survivor: nothing of the product is in between."""

from __future__ import annotations

import time
from typing import Callable, NamedTuple

from ..lab.inguest_scsi import pr_out
from ..lab.model import Reply
from .ground import LUN, SURVIVOR, VICTIM, Ground

WERO = 5
PREEMPT, PREEMPT_AND_ABORT = 4, 5
SYNCHRONIZE_CACHE = bytes((0x35, 0, 0, 0, 0, 0, 0, 0, 1, 0))
SHORT_S, PAUSE_S, PATIENCE_S = 5.0, 5.0, 60.0
ATTENTIONS_MAX = 4
# After a reset that the initiator has given up its session is lost for a while.
AGAIN_S, RESETS_FOR_S = 0.25, 75.0


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
        self.own, self.victim = bears.key(SURVIVOR) or 0, bears.key(VICTIM) or 0
        self.ground = ground
        self.steps: list[Step] = []

    def preempt(self) -> None:
        """PREEMPT: the key goes, nothing is aborted."""
        self._out("PREEMPT", PREEMPT, PATIENCE_S)

    def abort(self) -> None:
        """PREEMPT AND ABORT."""
        self._out("PREEMPT AND ABORT", PREEMPT_AND_ABORT, PATIENCE_S)

    def abort_briefly(self) -> None:
        """PREEMPT AND ABORT with a time limit of its own."""
        self._out("PREEMPT AND ABORT", PREEMPT_AND_ABORT, SHORT_S)

    def _out(self, name: str, action: int, seconds: float) -> None:
        cdb, parameters = pr_out(action, self.own, self.victim, WERO)
        self._command(name, bytes.fromhex(cdb), bytes.fromhex(parameters), seconds)

    def flush(self) -> None:
        """SYNCHRONIZE CACHE of one block."""
        self._command("SYNCHRONIZE CACHE", SYNCHRONIZE_CACHE, b"", PATIENCE_S)

    def _command(self, name: str, cdb: bytes, out: bytes, seconds: float) -> None:
        began = time.monotonic()
        for _ in range(ATTENTIONS_MAX):
            said = self.ground.scsi(cdb, out, seconds)
            if not (said.asc or "").startswith("6/"):
                break
        self.steps.append(Step(name, _wrong(said), time.monotonic() - began))

    def reset(self) -> None:
        """LOGICAL UNIT RESET, again until it is done or RESETS_FOR_S have passed."""
        began = time.monotonic()
        while True:
            wrong, _ = self.ground.reset()
            seconds = time.monotonic() - began
            if not wrong or seconds > RESETS_FOR_S:
                break
            time.sleep(AGAIN_S)
        self.steps.append(Step("reset", wrong, seconds))

    def pause(self) -> None:
        """Nothing, for PAUSE_S."""
        time.sleep(PAUSE_S)
        self.steps.append(Step("pause", "", PAUSE_S))


def _wrong(said: Reply) -> str:
    if said.good:
        return ""
    return said.errno or said.asc or f"status {said.status:02X}h, host {said.host_status:02X}h"


def _all(*names: str) -> Callable[[Strike], None]:
    def run(strike: Strike) -> None:
        for name in names:
            getattr(strike, name)()

    return run


SEQUENCES: dict[str, Callable[[Strike], None]] = {
    "PREEMPT AND ABORT": _all("abort"),
    "PREEMPT AND ABORT, reset": _all("abort", "reset"),
    f"PREEMPT AND ABORT for {SHORT_S:g} s, reset": _all("abort_briefly", "reset"),
    "PREEMPT, reset": _all("preempt", "reset"),
    "reset, PREEMPT, reset": _all("reset", "preempt", "reset"),
    "reset, PREEMPT AND ABORT": _all("reset", "abort"),
    f"PREEMPT, {PAUSE_S:g} s, reset": _all("preempt", "pause", "reset"),
    "PREEMPT, SYNCHRONIZE CACHE, reset": _all("preempt", "flush", "reset"),
}
