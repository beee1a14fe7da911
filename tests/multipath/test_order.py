"""Nodes that see the LUs under other names, in another order, have one arbiter nevertheless."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from ..cluster.node import AGENT_TIMEOUT_S, Node
from . import multipathd
from .ground import NAMES, WHOLE, Ground

SHOT = re.compile(r"^PREEMPT on (\S+)(?: of (\S+))?: ", re.MULTILINE)
OFFSETS_S = (0.0, 0.05, -0.05) if WHOLE else (0.0,)
FLUSH_TIMEOUT_S = 60
RENAME = "multipath -F; cat >/etc/multipath/bindings"
# The LU that has been found last is found first: every name moves.
SCAN = """
for host in /sys/class/scsi_host/host*; do echo "0 0 {lun}" >$host/scan; done
udevadm settle
"""


def find(node: Node, luns: list[int]) -> None:
    """Have a node forget all disks, and find its LUs in this order."""
    multipathd.stop(node)
    serials = {u.index: u.serial for u in node.storage.units}
    names = [f"mpath{'ab'[at]} {multipathd.wwid(serials[lun])}" for at, lun in enumerate(luns)]
    node.ok(RENAME, FLUSH_TIMEOUT_S, "\n".join([*names, ""]))
    for lun in luns:
        node.forget(lun)
    for lun in luns:
        node.ok(SCAN.format(lun=lun), timeout=FLUSH_TIMEOUT_S)
    multipathd.start(node)


@pytest.fixture(scope="module")
def permuted(booted: Ground) -> Iterator[None]:
    """n2 finds the LUs the other way round."""
    find(booted.node("n2"), booted.luns[::-1])
    yield
    find(booted.node("n2"), booted.luns)


def lu_of(node: Node, name: str) -> str:
    """Return the wwid of the LU that a node calls so."""
    for known in multipathd.maps(node).values():
        if name.rpartition("/")[2] in (known.name, known.dm, *known.slaves):
            return known.wwid
    raise AssertionError(f"{node.name} has no map with {name}")


@pytest.mark.usefixtures("permuted")
def test_one_arbiter(ground: Ground) -> None:
    """Both nodes begin with the same LU, whatever they call it, and one wins each duel."""
    named = {
        name: {known.name: wwid for wwid, known in multipathd.maps(ground.node(name)).items()}
        for name in NAMES
    }
    assert named["n1"].keys() == named["n2"].keys() == {"mpatha", "mpathb"}
    assert all(named["n1"][alias] != named["n2"][alias] for alias in named["n1"])
    disks = [{p.block: p.lun for p in ground.node(name).paths()} for name in NAMES]
    assert disks[0].keys() == disks[1].keys() and disks[0] != disks[1]
    arbiters = set()
    for caller, plug in (NAMES, NAMES[::-1]):
        listed = ground.devices(caller)
        given = ",".join(reversed(listed.split(",")))
        said = ground.agent(caller, "off", plug, verbose=1, devices=given)
        assert said.code == 0, said
        shots = [lu_of(ground.node(caller), disk) for disk, _ in SHOT.findall(said.output)]
        assert sorted(shots) == sorted(named["n1"].values()), said.output
        arbiters.add(shots[0])
        ground.join(plug)
    assert len(arbiters) == 1, arbiters


@pytest.mark.usefixtures("permuted")
def test_a_duel(ground: Ground) -> None:
    """Each evicts the other at once: one of them wins, on both LUs."""
    for offset in OFFSETS_S:
        first, second = NAMES if offset >= 0 else NAMES[::-1]
        given = {name: ground.devices(name) for name in NAMES}
        jobs = {first: ground.begin(first, "off", second, devices=given[first])}
        time.sleep(abs(offset))
        jobs[second] = ground.begin(second, "off", first, devices=given[second])
        codes = {name: job.wait(AGENT_TIMEOUT_S).code for name, job in jobs.items()}
        (winner,) = [name for name, code in codes.items() if code == 0]
        (loser,) = [name for name, code in codes.items() if code == 1]
        assert ground.joined([winner]), (codes, ground.nexuses())
        print(f"second {abs(offset):.2f} s later: {first} first, {winner} won")
        ground.join(loser)
