"""Disks that hang, and the two limits: the agent's power_timeout, Pacemaker's pcmk_off_timeout."""

from __future__ import annotations

import time

import pytest

from fence_prbarrier.simulator import store

from ..agent.stage import Stage, initiator
from .node import DEVICE, ONCE, Two, parameters, wait_for

LIMIT_S = 2
# Longer than any limit here: who waited for it counts as hung.
HUNG_MS = 40_000
# From a limit to stonith_admin's end, on a slow machine.
GRACE_S = 10
WAITING = "timed out: no answer yet from: PREEMPT AND ABORT on mock:"


@pytest.fixture
def hanging(two: Two, stage: Stage) -> Two:
    """n1 and n2 have joined; n1's next eviction passes lu0 and hangs at lu1."""
    stage.fault(f"delay:{HUNG_MS} initiator={initiator('n1')} op=5f/05", unit=1)
    return two


def assert_half_done(stage: Stage) -> None:
    """n2 is gone from the one disk, and still writes on the other."""
    assert (stage.keys("n2"), len(stage.keys("n2", 1))) == ([], 1)
    assert [len(stage.keys("n1", unit)) for unit in (0, 1)] == [1, 1]


def assert_done(stage: Stage) -> None:
    assert stage.keys("n2") == stage.keys("n2", 1) == []
    assert stage.keys("n1") == stage.keys("n1", 1) != []
    for picture in stage.pictures():
        assert f"key 0x{stage.keys('n1')[0]:016x}" in picture[-1]


def test_the_agent_gives_up_first(hanging: Two, stage: Stage) -> None:
    """power_timeout below Pacemaker's limit: the agent itself says what hung, and is gone."""
    n1 = hanging.n1
    limits = {"power_timeout": LIMIT_S, "pcmk_off_timeout": 30, **ONCE}
    n1.register(DEVICE, parameters(stage, **limits))
    began = time.monotonic()
    n1.fail("--fence", "n2")
    assert LIMIT_S <= time.monotonic() - began < LIMIT_S + GRACE_S
    assert n1.warnings() == [f"{WAITING}{stage.units[1]}"]
    assert_half_done(stage)
    wait_for(lambda: not n1.agents(), "the agent's processes to end", 5)
    n1.register(DEVICE, parameters(stage))
    n1.succeed("--fence", "n2")
    assert_done(stage)


def test_pacemaker_gives_up_first(hanging: Two, stage: Stage) -> None:
    """pcmk_off_timeout below power_timeout: the agent is killed before it could say anything.

    No process stays behind, and the next off finishes what was begun.
    """
    n1 = hanging.n1
    limits = {"power_timeout": 60, "pcmk_off_timeout": LIMIT_S}
    n1.register(DEVICE, parameters(stage, **limits))
    began = time.monotonic()
    assert "Timer expired" in n1.fail("--fence", "n2")
    assert LIMIT_S <= time.monotonic() - began < LIMIT_S + GRACE_S
    assert n1.warnings() == []
    assert "timed out after" in n1.log()
    assert_half_done(stage)
    wait_for(lambda: not n1.agents(), "the agent's processes to end", 5)
    n1.register(DEVICE, parameters(stage))
    n1.succeed("--fence", "n2")
    assert_done(stage)


def test_pacemaker_tries_twice(hanging: Two, stage: Stage) -> None:
    """Unless told otherwise; where its limit has room for it the second attempt finishes."""
    n1 = hanging.n1
    limits = {"power_timeout": LIMIT_S, "pcmk_off_timeout": 30}
    n1.register(DEVICE, parameters(stage, **limits))
    n1.succeed("--fence", "n2")
    assert n1.warnings() == [f"{WAITING}{stage.units[1]}"]
    assert_done(stage)


def test_the_fencer_dies(hanging: Two, stage: Stage) -> None:
    """Killed with its agent in the middle of an off, and started anew: off finishes it."""
    n1 = hanging.n1
    n1.register(DEVICE, parameters(stage))
    n1.start("asking", "stonith_admin", "--fence", "n2")
    wait_for(lambda: not store.read(str(stage.units[1])).faults, "the eviction to hang")
    n1.stop_fencer()
    assert_half_done(stage)
    n1.start_fencer()
    n1.register(DEVICE, parameters(stage))
    n1.succeed("--fence", "n2")
    assert_done(stage)
