"""Rule 9 on a real target: nothing of the victim arrives after a successful `off`.

A write of the victim is held up below the target (dm-delay) when the fence strikes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from .agent import RESET, Node, Said, Stopped, bears, nodes
from .san import Lab, Unit, unit

DELAY_MS = 3000
LATE = (2, 7)  # their identities come behind those of LU 0, the arbiter, and LU 1
LATE_S = 5.0  # after so long whatever was in flight has arrived
BLOCK = 20
OLD, NEW = b"before", b"late"


@pytest.fixture(scope="module")
def late_units(running_lab: Lab) -> Iterator[list[Unit]]:
    """Two more LUs, whose writes reach the medium late."""
    added = [running_lab.add(unit(index, delay_ms=DELAY_MS)) for index in LATE]
    yield added
    running_lab.clear()
    for one in added:
        running_lab.remove(one)


@pytest.fixture
def late(late_units: list[Unit], lab: Lab) -> list[Unit]:
    """They, with the lab cleared after they came."""
    return late_units


def members(lab: Lab, luns: tuple[int, ...], holder: str, through: str = "dev") -> list[Node]:
    """The three nodes on some LUs; ``holder`` joined first, so it holds the reservation."""
    found = [Node(lab, node.name, through, luns) for node in nodes(lab)]
    for node in sorted(found, key=lambda node: node.name != holder):
        assert node.run("on", node.name).code == 0
    for lun in luns:
        assert bears(lab, lun).holder == found[int(holder[1:]) - 1].key(lun)
    return found


def strike(lab: Lab, late: list[Unit], caller: Node, drain: str) -> tuple[Said, bool]:
    """`off` of n2 with its writes in flight; whether anything of it arrived after the success."""
    for one in late:
        lab.set_delay(one, 0)
        assert lab.write("n2", one.index, BLOCK, OLD).errno == ""
        lab.set_delay(one, DELAY_MS)
    pending = [lab.start_write("n2", one.index, BLOCK, NEW) for one in late]
    said = caller.run("off", "n2", drain=drain, verbose="1")
    at_once = [lab.read("n3", one.index, BLOCK).data for one in late]
    ended = time.monotonic()
    for write in pending:
        write.result()
    time.sleep(max(0.0, ended + LATE_S - time.monotonic()))
    later = [lab.read("n3", one.index, BLOCK).data for one in late]
    assert all(data.startswith((OLD, NEW)) for data in at_once + later)
    for one in late:
        assert lab.write("n2", one.index, BLOCK, "after").errno == "EBADE"
    return said, at_once != later


@pytest.mark.parametrize("holder", ["n1", "n2"])
def test_auto_drains(lab: Lab, late: list[Unit], holder: str) -> None:
    """drain=auto: the quirk of LIO-ORG (read from sysfs) asks for a reset; nothing comes later."""
    n1, *_ = members(lab, (2,), holder)
    said, came_late = strike(lab, late[:1], n1, "auto")
    assert (said.code, said.out) == (0, "Success: Powered OFF\n"), said
    assert "LOGICAL UNIT RESET" in said.err
    assert "drained by: LU reset after the keys were gone" in said.err
    # The vendor came from sysfs: standard INQUIRY data was not asked for.
    assert "INQUIRY on" not in said.err
    assert not came_late


def test_target_alone_does_not_drain(lab: Lab, late: list[Unit]) -> None:
    """drain=target, a survivor holds: no reset, and the victim's write is seen to arrive later.

    So these tests can see what they look for, and the quirk is real.
    """
    n1, *_ = members(lab, (2,), "n1")
    said, came_late = strike(lab, late[:1], n1, "target")
    assert (said.code, said.out) == (0, "Success: Powered OFF\n"), said
    assert "LOGICAL UNIT RESET" not in said.err
    assert "drained by: PREEMPT AND ABORT answered GOOD" in said.err
    assert came_late


def test_several_lus_drain_at_once(lab: Lab, late: list[Unit]) -> None:
    """Writes held up on two of four LUs: the kernel resets one LU of a session at a time."""
    n1, *_ = members(lab, (0, 1, *LATE), "n1")
    said, came_late = strike(lab, late, n1, "auto")
    assert (said.code, said.out) == (0, "Success: Powered OFF\n"), said
    assert said.err.count("drained by: LU reset after the keys were gone") == 4
    assert not came_late


def test_drained_anew_by_the_next(lab: Lab, late: list[Unit]) -> None:
    """An `off` that finds the keys gone already does not trust that somebody drained."""
    n1, _, n3 = members(lab, (2,), "n1")
    assert n3.run("off", "n2", drain="target").code == 0
    said = n1.run("off", "n2", verbose="1")
    assert (said.code, said.out) == (0, "Success: Already OFF\n")
    assert "LOGICAL UNIT RESET" in said.err


def test_reset_while_another_is_under_way(lab: Lab, late: list[Unit]) -> None:
    """Another LU of the session is being reset for 3 s: this LU's reset waits its turn.

    Over sg, which answers EAGAIN where the descriptor is a non-blocking one.
    """
    n1, *_ = members(lab, (0,), "n1", "sg")
    stopped = Stopped(lab, n1, "n2", command=RESET)
    pending = lab.start_write("n2", LATE[0], BLOCK, NEW)
    other = lab.spawn(f"sg_reset --device --no-esc {lab.sg('n1', LATE[0])}")
    lab.guest.wait_for(lambda: lab.sh("cat /proc/*/comm | grep -qx sg_reset").code == 0, 5, "it")
    time.sleep(0.2)
    assert other.running
    said = stopped.go_on().wait()
    assert (said.code, said.out) == (0, "Success: Powered OFF\n"), said
    assert "LOGICAL UNIT RESET" in said.err and "EAGAIN" not in said.err
    assert other.wait().code == 0
    pending.result()
