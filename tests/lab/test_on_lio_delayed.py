"""An eviction that was held up can only hit the life it was meant for, on a real target."""

from __future__ import annotations

from .agent import PREEMPT, Stopped, bears, incarnation_of, joined
from .san import Lab

LUNS = (0, 1)
BLOCK = 50
POWERED_OFF = (0, "Success: Powered OFF\n", "")


def test_victim_has_rejoined(lab: Lab) -> None:
    """Read the keys, stop; the victim is evicted by another, reboots, rejoins: left untouched."""
    n1, n2, n3 = joined(lab)
    old = n2.key()
    late = Stopped(lab, n1, "n2")
    assert n2.key() == old
    assert n3.run("off", "n2") == POWERED_OFF
    n2.reboot()
    assert n2.run("on", "n2").code == 0
    assert incarnation_of(n2.key()) > incarnation_of(old)
    before = [bears(lab, lun) for lun in LUNS]
    said = late.go_on().wait()
    assert (said.code, said.out) == (1, "")
    assert "node 2 has rejoined meanwhile as" in said.err
    assert f"{PREEMPT} on" in said.err and "RESERVATION CONFLICT" in said.err
    assert "LOGICAL UNIT RESET" not in said.err
    assert [bears(lab, lun) for lun in LUNS] == before
    for lun in LUNS:
        assert lab.write("n2", lun, BLOCK, "new life").errno == ""
    # Asked again, it ends that life: the cluster manager has decided anew.
    assert n1.run("off", "n2") == POWERED_OFF


def test_victim_has_rejoined_behind_the_arbiter(lab: Lab) -> None:
    """The same, stopped when the arbiter is won and the other LU is still to come."""
    n1, n2, n3 = joined(lab)
    old = n2.key()
    late = Stopped(lab, n1, "n2", turn=2)
    assert sorted(old in bears(lab, lun).keys for lun in LUNS) == [False, True]
    assert n3.run("off", "n2") == POWERED_OFF
    n2.reboot()
    assert n2.run("on", "n2").code == 0
    before = [bears(lab, lun) for lun in LUNS]
    said = late.go_on().wait()
    assert (said.code, said.out) == (1, "")
    assert "node 2 has rejoined meanwhile as" in said.err
    assert [bears(lab, lun) for lun in LUNS] == before
    assert n2.run("monitor").code == 0


def test_victim_was_evicted_by_another(lab: Lab) -> None:
    """The victim is gone and stays gone: what is read back afterwards is success."""
    n1, _, n3 = joined(lab)
    late = Stopped(lab, n1, "n2")
    assert n3.run("off", "n2") == POWERED_OFF
    keys = [bears(lab, lun).keys for lun in LUNS]
    said = late.go_on().wait()
    assert said.code == 0
    assert "RESERVATION CONFLICT" in said.err
    assert "LOGICAL UNIT RESET" in said.err  # whether the first abort has ended is not known here
    assert [bears(lab, lun).keys for lun in LUNS] == keys
    assert lab.write("n2", 0, BLOCK, "x").errno == "EBADE"


def test_caller_was_evicted(lab: Lab) -> None:
    """Rules 3 and 5: while it was stopped the caller lost the duel: it fails, the victim stays."""
    n1, n2, _ = joined(lab)
    late = Stopped(lab, n1, "n2")
    assert n2.run("off", "n1") == POWERED_OFF
    before = [bears(lab, lun) for lun in LUNS]
    said = late.go_on().wait()
    assert (said.code, said.out) == (1, "")
    assert "it has been evicted and may evict nobody" in said.err
    assert [bears(lab, lun) for lun in LUNS] == before
    for lun in LUNS:
        assert lab.write("n2", lun, BLOCK, "winner").errno == ""
        assert lab.write("n1", lun, BLOCK, "loser").errno == "EBADE"


def test_duel(lab: Lab) -> None:
    """Rule 5: two nodes evict each other at once over two LUs: exactly one wins, on both."""
    n1, n2, _ = joined(lab)
    runs = [n1.start("off", "n2"), n2.start("off", "n1")]
    said = [run.wait() for run in runs]
    assert sorted(one.code for one in said) == [0, 1], said
    winner = "n1" if said[0].code == 0 else "n2"
    for lun in LUNS:
        for who in ("n1", "n2"):
            expected = "" if who == winner else "EBADE"
            assert lab.write(who, lun, BLOCK, who).errno == expected
