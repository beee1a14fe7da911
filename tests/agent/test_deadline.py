"""The supervisor's promise: an answer by the deadline, whatever hangs, and never a false one."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from .stage import Stage, assert_refused, finish, initiator

# More than any test waits: who sleeps so long counts as hung.
HUNG_MS = 20_000
# From the deadline to the end of the process, on a slow machine.
GRACE_SECONDS = 3.0
POLL_SECONDS = 0.02


def _hang(stage: Stage, what: str, unit: int = 0, milliseconds: int = HUNG_MS) -> None:
    """A command of n1 sleeps in the "kernel": the delay is slept within the transport."""
    stage.fault(f"delay:{milliseconds} initiator={initiator('n1')} {what} times=always", unit)


def _worker_of(process: subprocess.Popen[str]) -> int:
    """The one child of the agent's process, once there is one."""
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        for entry in os.listdir("/proc"):
            if entry.isdigit() and _parent_of(entry) == process.pid:
                return int(entry)
        time.sleep(POLL_SECONDS)
    raise AssertionError("no worker")


def _parent_of(pid: str) -> int:
    """0 where there is no such process, or where it has ended and waits for its burial."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
    except OSError:
        return 0
    return 0 if state in "ZX" else int(parent)


def _wait_for_end_of(pid: int, seconds: float = 10) -> None:
    limit = time.monotonic() + seconds
    while _parent_of(str(pid)) and time.monotonic() < limit:
        time.sleep(POLL_SECONDS)


def _wait_until_struck(stage: Stage, unit: int = 0) -> None:
    """Until a delay with times=1 has been taken: the command is asleep now."""
    from fence_prbarrier.simulator import store

    limit = time.monotonic() + 10
    while store.read(str(stage.units[unit])).faults:
        assert time.monotonic() < limit, "the command was never sent"
        time.sleep(POLL_SECONDS)


CALLS = [("on", "n1"), ("off", "n2"), ("status", "n2"), ("monitor", ""), ("list-status", "")]


@pytest.mark.parametrize("where", ["op=12", "op=5e/03"])
def test_a_hung_worker_is_named_at_the_deadline(joined: Stage, where: str) -> None:
    """Exit 1, one line that says "timed out" and what hung; no success; nothing changed."""
    _hang(joined, where)
    before = joined.pictures()
    began = time.monotonic()
    running = [joined.begin("n1", action, plug, power_timeout=1) for action, plug in CALLS]
    results = [finish(process) for process in running]
    assert time.monotonic() - began < 1 + GRACE_SECONDS
    name = "INQUIRY VPD 83h" if where == "op=12" else "READ FULL STATUS"
    for result in results:
        assert_refused(result, "timed out", f"{name} on mock:{joined.units[0]}")
        assert f"mock:{joined.units[1]}" not in result.err
    assert joined.pictures() == before


def test_a_hung_eviction_is_a_failure(joined: Stage) -> None:
    """Whether it took effect is not known; the second LU was not touched (rule 5)."""
    _hang(joined, "op=5f/05")
    before = joined.pictures()
    began = time.monotonic()
    result = joined.do("n1", "off", "n2", power_timeout=2)
    assert 1 <= time.monotonic() - began < 2 + GRACE_SECONDS
    assert_refused(result, "timed out", f"PREEMPT AND ABORT on mock:{joined.units[0]}")
    assert joined.pictures() == before


def test_a_slow_command_has_the_time_that_it_may_take(joined: Stage) -> None:
    """PREEMPT AND ABORT is not cut off at command_timeout."""
    _hang(joined, "op=5f/05", milliseconds=1500)
    result = joined.do("n1", "off", "n2", command_timeout=1, power_timeout=20)
    assert result == (0, "Success: Powered OFF\n", "")


def test_the_worker_gives_up_in_time_to_say_why(joined: Stage) -> None:
    """Each read is late, so the time is used up: its own words, not the supervisor's."""
    _hang(joined, "op=5e", milliseconds=700)
    began = time.monotonic()
    result = joined.do("n1", "status", "n2", power_timeout=2, command_timeout=1)
    assert (result.code, result.out) == (0, "Status: ON\n")
    result = joined.do("n1", "off", "n2", power_timeout=1, command_timeout=1)
    assert_refused(result, "timed out")
    assert time.monotonic() - began < 3 + GRACE_SECONDS


def test_a_killed_worker_is_no_success(joined: Stage) -> None:
    _hang(joined, "op=5e/03")
    began = time.monotonic()
    process = joined.begin("n1", "off", "n2", power_timeout=60)
    os.kill(_worker_of(process), signal.SIGKILL)
    assert_refused(finish(process), "killed by signal 9")
    assert time.monotonic() - began < 10


def test_a_worker_whose_supervisor_is_gone_sends_nothing_more(joined: Stage) -> None:
    """The reader of the agent's output gets its EOF at once, though the worker still sleeps."""
    fault = f"delay:1500 initiator={initiator('n1')} op=5e/03"
    joined.fault(fault)
    before = joined.pictures()
    process = joined.begin("n1", "off", "n2")
    worker = _worker_of(process)
    _wait_until_struck(joined)
    process.kill()
    began = time.monotonic()
    result = finish(process)
    assert time.monotonic() - began < 1.0
    assert _parent_of(str(worker)), "the worker was to outlive its supervisor"
    assert (result.code, result.out) == (-signal.SIGKILL, "")
    _wait_for_end_of(worker)
    assert not _parent_of(str(worker))
    assert joined.pictures() == before


def test_a_worker_whose_supervisor_is_gone_leaves_the_other_lus(joined: Stage) -> None:
    """The command that was under way may take effect; no further one is begun."""
    joined.fault(f"delay:1000 initiator={initiator('n1')} op=5f/05")
    process = joined.begin("n1", "off", "n2")
    worker = _worker_of(process)
    _wait_until_struck(joined)
    process.terminate()
    assert finish(process)[:2] == (-signal.SIGTERM, "")
    _wait_for_end_of(worker)
    assert joined.keys("n2", 0) == [] and joined.keys("n2", 1) != []
    assert joined.do("n1", "off", "n2") == (0, "Success: Powered OFF\n", "")


def test_on_holds_its_lock_while_a_registration_may_be_in_flight(joined: Stage) -> None:
    """The first ``on`` hangs and is given up; the next one waits its turn in vain, and fails."""
    joined.reboot("n1")
    joined.fault(f"delay:2500 initiator={initiator('n1')} op=5f/06")
    process = joined.begin("n1", "on", "n1")
    worker = _worker_of(process)
    _wait_until_struck(joined)
    process.kill()
    finish(process)
    assert_refused(joined.do("n1", "on", "n1", on_timeout=1), "another action=on")
    _wait_for_end_of(worker)
    result = joined.do("n1", "on", "n1")
    assert (result.code, result.err) == (0, "")


def test_off_of_a_caller_that_never_joined_waits_for_no_device(joined: Stage) -> None:
    """Pacemaker asks such a node too; it says no at once, whatever its paths do."""
    joined.reboot("n1")
    _hang(joined, "op=12")
    began = time.monotonic()
    assert_refused(joined.do("n1", "off", "n2"), "has not joined in this boot")
    assert time.monotonic() - began < HUNG_MS / 1000 / 2
