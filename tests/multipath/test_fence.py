"""A fence while a path is lost, and one in the very moment of the loss."""

from __future__ import annotations

import os
import time

import pytest

from .ground import ROUNDS_VARIABLE, SURVIVOR, VICTIM, WHOLE, Ground, errors
from .moment import Campaign, turns

WATCHED_S = 3.0
ROUNDS = 3
# Who is off which fabric.
LOSSES = {
    "both": {SURVIVOR: "san1", VICTIM: "san0"},
    "survivor": {SURVIVOR: "san0"},
    "victim": {VICTIM: "san1"},
}


@pytest.mark.parametrize("lost", list(LOSSES)[: None if WHOLE else 1])
def test_fence_with_a_path_lost(ground: Ground, lost: str) -> None:
    """The victim is gone from both nexuses, also when its path is back; the survivor writes on."""
    writers = {name: ground.write(name) for name in (SURVIVOR, VICTIM)}
    watches = ground.watch(SURVIVOR, writers[VICTIM])
    for name, segment in LOSSES[lost].items():
        ground.lose(name, segment)
    for name in writers:
        ground.await_progress(writers[name])
    began = time.time()
    said = ground.agent(SURVIVOR, "off", VICTIM)
    declared = time.time()
    assert said.code == 0 and said.output.endswith("Success: Powered OFF\n"), said
    assert ground.joined([SURVIVOR])
    print(f"lost by {lost}: off in {declared - began:.2f} s")
    time.sleep(WATCHED_S)
    ground.mend()
    for watch in watches:
        assert watch.changed_after(began - WATCHED_S), "this watch has never seen anything"
        assert watch.changed_after(declared) == []
        watch.stop()
    for writer in writers[VICTIM]:
        assert errors(writer) and writer.errnos() == {"EBADE"}
        writer.stop()
    ground.end_calmly(writers[SURVIVOR])
    assert ground.joined([SURVIVOR])
    assert ground.agent(SURVIVOR, "status", VICTIM) == (2, "Status: OFF\n")


def test_fence_in_the_moment_of_the_loss(ground: Ground) -> None:
    """At different instants: done and true, or an honest failure and done the second time."""
    count = int(os.environ.get(ROUNDS_VARIABLE) or ROUNDS)
    campaign = Campaign(ground)
    campaign.warm_up()
    print()
    for how, instant in turns(count):
        print(campaign.fight(how, instant).line(), flush=True)
    print(campaign.summary())
    campaign.end()
