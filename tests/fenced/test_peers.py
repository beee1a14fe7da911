"""Two fencers that talk through corosync: delegation, history, levels; the disks tell."""

from __future__ import annotations

import pytest

from ..agent.stage import Stage, initiator
from .node import DEVICE, ONCE, Two, wait_for
from .peers import Event, history

LIMIT_S = 2
HUNG_MS = 40_000


@pytest.fixture
def joined(peers: Two) -> Two:
    """n1 and n2 have joined, each by its own hand; n1 was asked for both."""
    for name in ("n2", "n1"):
        peers.n1.succeed("--unfence", name)
    return peers


def latest(two: Two, target: str) -> Event:
    """The last entry of the history, about which both fencers come to agree."""
    wait_for(lambda: history(two.n1, target) == history(two.n2, target), "one history")
    return history(two.n1, target)[0]


def test_each_node_unfences_itself(joined: Two, stage: Stage) -> None:
    """Wherever it is asked for, on runs on its target; names come from corosync.conf."""
    for node in ("n1", "n2"):
        assert len(stage.keys(node)) == 1
        assert stage.keys(node) == stage.keys(node, 1)
        assert latest(joined, node) == Event("on", node, node, "success")
    assert stage.keys("n1") != stage.keys("n2")


@pytest.mark.parametrize("asked", ["n1", "n2"])
def test_fencing_is_remembered(joined: Two, stage: Stage, asked: str) -> None:
    """The survivor does it, even where the victim was asked to; history says by whom."""
    node = joined.n1 if asked == "n1" else joined.n2
    node.succeed("--fence", "n2")
    assert stage.keys("n2") == stage.keys("n2", 1) == []
    assert stage.keys("n1") == stage.keys("n1", 1) != []
    assert latest(joined, "n2") == Event("off", "n2", "n1", "success")
    text = joined.n1.admin("--history", "n2", "--verbose").out
    assert "turning off of n2 successful: delegate=n1" in text


def test_reboot_is_remembered_as_such(joined: Two, stage: Stage) -> None:
    """Though it was off that ran."""
    joined.n1.succeed("--reboot", "n2")
    assert stage.keys("n2") == stage.keys("n2", 1) == []
    assert latest(joined, "n2") == Event("reboot", "n2", "n1", "success")


def test_a_failure_is_remembered(joined: Two, stage: Stage) -> None:
    """Pacemaker's limit is over when the agent is killed: for a further attempt, another node too.

    Should a moment be left for the victim, it refuses to fence itself.
    """
    for node in joined:
        limits = {"pcmk_off_timeout": LIMIT_S, **ONCE}
        node.register(DEVICE, {"devices": stage.devices, **limits})
    stage.fault(f"delay:{HUNG_MS} initiator={initiator('n1')} op=5f/05")
    before = stage.pictures()
    joined.n1.fail("--fence", "n2")
    assert stage.pictures() == before
    assert latest(joined, "n2")[:2] + latest(joined, "n2")[3:] == ("off", "n2", "failed")
    assert joined.n1.warnings() == []
    assert [line for line in joined.n2.warnings() if "never evicts itself" not in line] == []
    for node in joined:
        node.register(DEVICE, {"devices": stage.devices})
    joined.n1.succeed("--fence", "n2")
    assert stage.keys("n2") == stage.keys("n2", 1) == []
    assert latest(joined, "n2") == Event("off", "n2", "n1", "success")
    text = joined.n1.admin("--history", "n2", "--verbose").out
    assert "turning off of n2 failed" in text


def test_who_was_evicted_cannot_have_the_survivor_fenced(joined: Two, stage: Stage) -> None:
    """Asked at the victim: it fails, says why, and the survivor does not fence itself either."""
    joined.n1.succeed("--fence", "n2")
    before = stage.pictures()
    for node in joined:
        node.register(DEVICE, {"devices": stage.devices, **ONCE})
    joined.n2.fail("--fence", "n1")
    assert stage.pictures() == before
    assert latest(joined, "n1")[:2] + latest(joined, "n1")[3:] == ("off", "n1", "failed")
    assert joined.n2.warnings() and all("reboot it" in line for line in joined.n2.warnings())
    assert all("never evicts itself" in line for line in joined.n1.warnings())


def test_a_level_needs_all_its_devices(joined: Two, stage: Stage) -> None:
    """One device for each disk, in one level: both evict, or the level fails."""
    for node in joined:
        for unit, path in enumerate(stage.units):
            options = {"devices": f"mock:{path}", **ONCE}
            node.register(f"disk{unit}", options)
        node.succeed("--deregister", DEVICE)
        node.succeed(
            "--register-level", "n2", "--index", "1", "--device", "disk0", "--device", "disk1"
        )
    dead = f"lost-command initiator={initiator('n1')} op=5f times=always"
    stage.fault(dead, unit=1)
    joined.n1.fail("--fence", "n2")
    assert (stage.keys("n2"), len(stage.keys("n2", 1))) == ([], 1)
    assert latest(joined, "n2").status == "failed"
    clear(stage)
    joined.n1.succeed("--fence", "n2")
    assert stage.keys("n2") == stage.keys("n2", 1) == []
    assert latest(joined, "n2") == Event("off", "n2", "n1", "success")


def test_the_next_level_takes_over(joined: Two, stage: Stage) -> None:
    """A first level that fails, and our agent in the second: fenced."""
    for node in joined:
        node.register("broken", {"devices": "/dev/not-there", **ONCE})
        for index, device in (("1", "broken"), ("2", DEVICE)):
            node.succeed("--register-level", "n2", "--index", index, "--device", device)
    joined.n1.succeed("--fence", "n2")
    assert stage.keys("n2") == stage.keys("n2", 1) == []
    assert latest(joined, "n2") == Event("off", "n2", "n1", "success")
    assert any("device /dev/not-there: is not there" in line for line in joined.n1.warnings())


def clear(stage: Stage) -> None:
    """Put the disks right."""
    from fence_prbarrier.simulator import store

    for path in stage.units:
        store.transact(str(path), lambda lu: lu.faults.clear())
