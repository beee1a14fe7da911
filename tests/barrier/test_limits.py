"""Rule 10: however a target goes on answering, an action ends, after so many commands."""

from __future__ import annotations

from typing import Any

import pytest

from fence_prbarrier.errors import BarrierError
from fence_prbarrier.scsi import command as build
from fence_prbarrier.simulator.faults import parse_fault

from .world import World

LU = "naa.60000"
# Far above what is needed, far below what would keep a cluster waiting.
MOST_COMMANDS = 300
MOST_PAUSED_S = 30

FOR_EVER = (
    "ua:29/00 times=always",
    "ua:2a/05 times=always",
    "sense:06/29/00 times=always",
    "sense:06/2a/03 times=always",
    "sense:02/04/01 times=always",
    "sense:0b/00/00 times=always",
    "busy times=always",
    "task-set-full times=always",
    "conflict times=always",
    "conflict op=5f times=always",
    "busy op=5f times=always",
    "lost-reply times=always",
    "lost-command times=always",
    "dead-path",
    "truncated:4 times=always",
    "truncated:8 times=always",
)


def three() -> World:
    world = World("spec", paths=2)
    for node in (1, 2, 3):
        world.join(node)
    world.sent.clear()
    return world


def ends(world: World, steps: Any) -> None:
    """It ends with an error, within the limits."""
    with pytest.raises(BarrierError):
        for _ in range(MOST_COMMANDS):
            next(steps)
        raise RuntimeError(f"still going on after {MOST_COMMANDS} commands: {world.sent[-5:]}")
    assert world.paused_seconds <= MOST_PAUSED_S


@pytest.mark.parametrize("fault", FOR_EVER)
def test_an_eviction_ends(fault: str) -> None:
    world = three()
    world.units[LU].add_fault(parse_fault(fault.split()))
    ends(world, world.evicting(3, 2))


@pytest.mark.parametrize("fault", FOR_EVER)
def test_a_join_ends(fault: str) -> None:
    world = three()
    world.units[LU].add_fault(parse_fault(fault.split()))
    ends(world, world.joining(4))


def test_a_list_that_grows_each_time_it_is_read() -> None:
    """The target declares more than there was room for, whatever room there is."""
    world = three()
    plain = world.send

    def send(node: int, name: str, action: Any, path: int = 0) -> Any:
        outcome = plain(node, name, action, path)
        if outcome.good and len(outcome.data) >= 8:
            declared = getattr(action, "data_in_length", 0) + 8
            outcome.data = outcome.data[:4] + declared.to_bytes(4, "big") + outcome.data[8:]
        return outcome

    world.send = send  # type: ignore[method-assign]
    ends(world, world.evicting(3, 2))


def test_a_victim_that_is_back_each_time() -> None:
    """Whoever registers it again and again: the eviction fails, and ends."""
    world = three()
    key = world.key(2)
    plain = world.send

    def send(node: int, name: str, action: Any, path: int = 0) -> Any:
        outcome = plain(node, name, action, path)
        if action.name == "LOGICAL UNIT RESET" or action.name.startswith("PREEMPT"):
            while not plain(2, name, build.register_and_ignore(key, True)).good:
                pass
        return outcome

    world.send = send  # type: ignore[method-assign]
    ends(world, world.evicting(3, 2))
