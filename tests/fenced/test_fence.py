"""Fencing and unfencing through two fencers, each of which stands alone; the disks tell."""

from __future__ import annotations

import re
import time

from ..agent.stage import Stage
from .node import DEVICE, Node, Two, parameters

RESERVATION_CONFLICT = 0x18
UNITS = (0, 1)
RESERVED = "reserved type 5 (Write Exclusive, registrants only), key "


def reserved_by_one_of(stage: Stage, *nodes: str) -> bool:
    """Whether every LU is reserved, as a barrier is, by a registrant of these nodes."""
    keys = {f"{RESERVED}0x{key:016x}" for node in nodes for key in stage.keys(node)}
    return all(keys & set(picture) for picture in stage.pictures())


def test_unfencing_joins_every_disk(two: Two, stage: Stage) -> None:
    """Each node registers its own key, the same on all disks; again changes nothing."""
    for node in ("n1", "n2"):
        assert len(stage.keys(node)) == 1
        assert stage.keys(node) == stage.keys(node, 1)
        assert [stage.write(node, unit) for unit in UNITS] == [0, 0]
    assert stage.keys("n1") != stage.keys("n2")
    assert reserved_by_one_of(stage, "n1", "n2")
    before = stage.pictures()
    two.n1.succeed("--unfence", "localhost")
    assert stage.pictures() == before


def test_fencing_evicts(two: Two, stage: Stage) -> None:
    """The victim's key is gone and its writes fail; the fencing node's remain."""
    mine = stage.keys("n1")
    two.n1.succeed("--fence", "n2")
    for unit in UNITS:
        assert (stage.keys("n1", unit), stage.keys("n2", unit)) == (mine, [])
        assert stage.write("n1", unit) == 0
        assert stage.write("n2", unit) == RESERVATION_CONFLICT
    assert reserved_by_one_of(stage, "n1")
    assert two.n1.warnings() == []


def test_fencing_again_finds_it_done(two: Two, stage: Stage) -> None:
    """Off already is success, and nothing changes; so for a node that never joined."""
    two.n1.succeed("--fence", "n2")
    before = stage.pictures()
    assert stage.keys("n2") == stage.keys("n2", 1) == []
    for target in ("n2", "n3"):
        two.n1.succeed("--fence", target)
    assert stage.pictures() == before


def test_reboot_is_off(two: Two, stage: Stage) -> None:
    """The agent has no reboot, so Pacemaker takes off for it, and is content."""
    two.n1.succeed("--reboot", "n2")
    assert [stage.keys("n2", unit) for unit in UNITS] == [[], []]
    assert [len(stage.keys("n1", unit)) for unit in UNITS] == [1, 1]
    assert re.search(r"Remapping 'reboot' action.* to 'off'", two.n1.log())


def test_who_was_evicted_evicts_nobody(two: Two, stage: Stage) -> None:
    """Nor does it come back before it has rebooted; after that it is a new life."""
    n1, n2 = two
    old = stage.keys("n2")
    n1.succeed("--fence", "n2")
    before = stage.pictures()
    n2.fail("--fence", "n1")
    assert n2.warnings() and all("reboot it" in line for line in n2.warnings())
    n2.fail("--unfence", "localhost")
    assert stage.pictures() == before
    n2.forget()
    time.sleep(1.0 - time.time() % 1.0)  # no real boot is over within a second
    n2.succeed("--unfence", "localhost")
    assert stage.keys("n2") == stage.keys("n2", 1) != old
    assert [stage.write("n2", unit) for unit in UNITS] == [0, 0]


def test_a_failing_off_says_in_the_log_what_to_do(node: Node, stage: Stage) -> None:
    """stonith_admin tells no reason: the line that helps is in the fencer's log.

    One line for each attempt; Pacemaker makes two of its own accord.
    """
    node.register(DEVICE, parameters(stage))
    before = stage.pictures()
    reason = "off failed: this node has not joined in this boot, so it may evict nobody;"
    assert reason not in node.fail("--fence", "n2")
    assert len(node.warnings()) == 2
    for line in node.warnings():
        assert line.startswith(reason)
        assert "run action=on" in line
    assert re.search(r"Operation 'off'.* returned:? 1", node.log())
    assert stage.pictures() == before


def test_unfencing_another_node_is_refused(two: Two, stage: Stage) -> None:
    """The metadata say that on runs on its target, so the agent is not even started."""
    two.n1.succeed("--fence", "n2")
    before = stage.pictures()
    two.n1.fail("--unfence", "n2")
    assert stage.pictures() == before
    assert two.n1.warnings() == []
    assert re.search(r"not eligible to fence \(on\) n2", two.n1.log())


def test_no_configuration_makes_the_fencer_clear(two: Two, stage: Stage) -> None:
    """Told to send clear in place of off, with all that would confirm it: refused."""
    n1, _ = two
    sure = {"confirm": "1", "force": "remove-members"}
    n1.register("clearing", {**parameters(stage), **sure, "pcmk_off_action": "clear"})
    n1.succeed("--deregister", DEVICE)
    before = stage.pictures()
    n1.fail("--fence", "n2")
    assert stage.pictures() == before
    refused = "clear is for people; no cluster manager may send it"
    assert n1.warnings() and all(refused in line for line in n1.warnings())
