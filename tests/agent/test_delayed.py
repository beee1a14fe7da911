"""A delayed eviction hits the life it was meant for, or nothing.

An ``off`` of n1 is stopped between its reads and its PREEMPT AND ABORT.  Meanwhile n3 evicts n2;
n2 reboots (a fresh state_dir) and joins again.  Then n1 goes on.
"""

from __future__ import annotations

import time

import pytest

from fence_prbarrier.simulator import store

from .stage import Stage, assert_refused, finish, initiator

STOPPED_MS = 2600
RESERVATION_CONFLICT = 0x18


def _wait_until_struck(stage: Stage) -> None:
    limit = time.monotonic() + 10
    while store.read(str(stage.units[0])).faults:
        assert time.monotonic() < limit, "the command was never sent"
        time.sleep(0.02)


@pytest.mark.parametrize("drain", ["auto", "target"])
def test_the_new_incarnation_is_left_alone(joined: Stage, drain: str) -> None:
    joined.fault(f"delay:{STOPPED_MS} initiator={initiator('n1')} op=5f/05")
    process = joined.begin("n1", "off", "n2", drain=drain)
    _wait_until_struck(joined)
    old = joined.keys("n2")
    assert joined.do("n3", "off", "n2") == (0, "Success: Powered OFF\n", "")
    joined.reboot("n2")
    assert joined.do("n2", "on", "n2") == (0, "Success: Powered ON\n", "")
    new = joined.pictures()
    assert process.poll() is None, "the window was too short"
    assert_refused(finish(process), "rejoined", "not evicted", str(joined.units[0]))
    assert joined.pictures() == new
    assert joined.keys("n2") == joined.keys("n2", 1) != old
    assert joined.write("n2") == joined.write("n2", 1) == 0


def test_who_was_evicted_while_it_slept_does_nothing(joined: Stage) -> None:
    """The caller itself is evicted in the window: a loser stops at once and fails."""
    joined.fault(f"delay:{STOPPED_MS} initiator={initiator('n1')} op=5f/05")
    process = joined.begin("n1", "off", "n2")
    _wait_until_struck(joined)
    assert joined.do("n3", "off", "n1") == (0, "Success: Powered OFF\n", "")
    before = joined.pictures()
    assert process.poll() is None, "the window was too short"
    assert_refused(finish(process), "evicted", str(joined.units[0]))
    assert joined.pictures() == before


def test_whom_another_evicted_meanwhile_is_off(joined: Stage) -> None:
    """The victim is gone and did not come back: verified anew, success."""
    joined.fault(f"delay:1000 initiator={initiator('n1')} op=5f/05")
    process = joined.begin("n1", "off", "n2")
    _wait_until_struck(joined)
    assert joined.do("n3", "off", "n2") == (0, "Success: Powered OFF\n", "")
    result = finish(process)
    assert (result.code, result.err) == (0, "")
    assert joined.keys("n2") == joined.keys("n2", 1) == []


def test_a_delayed_first_join_is_a_new_life(joined: Stage) -> None:
    """n2 has rebooted; its ``on`` is stopped before it registers; n1 ends the old life."""
    old = joined.keys("n2")
    joined.fault(f"delay:1000 initiator={initiator('n2')} op=5f/06")
    joined.reboot("n2")
    process = joined.begin("n2", "on", "n2")
    _wait_until_struck(joined)
    assert joined.do("n1", "off", "n2") == (0, "Success: Powered OFF\n", "")
    assert finish(process) == (0, "Success: Powered ON\n", "")
    assert joined.keys("n2") == joined.keys("n2", 1) > old


@pytest.mark.parametrize("attention", ["pending", "taken"])
def test_a_delayed_repair_does_not_undo_an_eviction(joined: Stage, attention: str) -> None:
    """Rule 4: n2's ``on`` is about to add a path in the boot in which n1 evicts it.

    n1 was told Powered OFF; whatever n2 then registers, it may not end as a member.
    """
    two_paths = f"{joined.devices},mock:{joined.units[0]}?port=2"
    joined.fault(f"delay:1000 initiator={initiator('n2')} op=5f")
    process = joined.begin("n2", "on", "n2", devices=two_paths)
    _wait_until_struck(joined)
    assert joined.do("n1", "off", "n2") == (0, "Success: Powered OFF\n", "")
    if attention == "taken":
        assert joined.write("n2") == RESERVATION_CONFLICT
    assert_refused(finish(process), "evicted")
    assert joined.keys("n2") == joined.keys("n2", 1) == []
    assert joined.write("n2") == RESERVATION_CONFLICT
