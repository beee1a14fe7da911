"""What each command of a worker left behind does on a real target when it arrives too late.

n1 evicts n2; then n2's nexus sends, byte for byte, what a worker of n2 may still
have had in the kernel.
"""

from __future__ import annotations

import struct

import pytest

from .agent import WERO, Node, bears, joined
from .san import Lab

CONFLICT = 0x18
GOOD = 0
BLOCK = 60
REGISTER, RESERVE, PREEMPT_AND_ABORT, REGISTER_AND_IGNORE = 0, 1, 5, 6
OWN, OTHERS, ZERO = "the evicted life's key", "n1's key", "zero"


@pytest.fixture
def evicted(lab: Lab) -> tuple[Lab, Node, Node, dict[str, int]]:
    """n2 has been evicted by n1; the keys by what they are."""
    n1, n2, _ = joined(lab)
    keys = {OWN: n2.key(), OTHERS: n1.key(), ZERO: 0}
    assert n1.run("off", "n2").out == "Success: Powered OFF\n"
    return lab, n1, n2, keys


def _send(lab: Lab, action: int, key: int, action_key: int) -> int:
    """PERSISTENT RESERVE OUT by n2's nexus, past the unit attentions; its status."""
    kind = WERO if action in (RESERVE, PREEMPT_AND_ABORT) else 0
    cdb = bytes([0x5F, action, kind, 0, 0, 0, 0, 0, 24, 0])
    for _ in range(4):
        reply = lab.scsi(lab.sg("n2"), cdb, struct.pack(">QQIB3x", key, action_key, 0, 1))
        if reply.asc is None or not reply.asc.startswith("6/"):
            break
    assert not reply.errno and not reply.host_status, reply
    return reply.status


@pytest.mark.parametrize(
    ("action", "key", "action_key"),
    [
        (REGISTER, OWN, OWN),  # a join's renewal
        (REGISTER, OWN, ZERO),  # what a join takes back
        (RESERVE, OWN, ZERO),
        (PREEMPT_AND_ABORT, OWN, OTHERS),  # a duel that was lost
        (PREEMPT_AND_ABORT, OWN, OWN),
    ],
    ids=["renewal", "taking back", "reserve", "preempt", "preempt itself"],
)
def test_what_names_the_evicted_key_is_refused(
    evicted: tuple[Lab, Node, Node, dict[str, int]], action: int, key: str, action_key: str
) -> None:
    lab, n1, _, keys = evicted
    before = [bears(lab, unit.index) for unit in lab.units]
    assert _send(lab, action, keys[key], keys[action_key]) == CONFLICT
    assert [bears(lab, unit.index) for unit in lab.units] == before
    assert n1.run("status", "n2").code == 2
    assert lab.write("n2", 0, BLOCK, "late").errno == "EBADE"


def test_a_reset_takes_nothing_away(evicted: tuple[Lab, Node, Node, dict[str, int]]) -> None:
    lab, n1, _, _ = evicted
    before = bears(lab)
    (done,) = lab.reset_units([lab.dev("n2")])
    assert done["errno"] == ""
    assert bears(lab) == before
    assert n1.run("status", "n2").code == 2
    assert lab.write("n1", 0, BLOCK, "goes on").errno == ""


@pytest.mark.parametrize("action", [REGISTER, REGISTER_AND_IGNORE], ids=["register", "ignore"])
def test_a_registration_that_names_no_key_is_told_and_ended(
    evicted: tuple[Lab, Node, Node, dict[str, int]], action: int
) -> None:
    """The one that matters: the evicted node may write again, until somebody looks."""
    lab, n1, _, keys = evicted
    assert _send(lab, action, 0, keys[OWN]) == GOOD
    assert lab.write("n2", 0, BLOCK, "late").errno == ""
    status = n1.run("status", "n2")
    assert (status.code, status.out) == (0, "Status: ON\n")
    monitor = n1.run("monitor")
    assert monitor.code == 0
    for said in (status, monitor):
        assert "node n2 is registered again as" in said.err and "fence the node again" in said.err
    assert n1.run("off", "n2").out == "Success: Powered OFF\n"
    assert lab.write("n2", 0, BLOCK, "late").errno == "EBADE"
    assert n1.run("status", "n2") == (2, "Status: OFF\n", "")
