"""Clearing a LU while others are at work on it, and on targets that depart from the standard."""

from __future__ import annotations

from typing import Callable

import pytest

from fence_prbarrier.barrier.memory import Memory
from fence_prbarrier.errors import BarrierBroken, BarrierError, ForeignProperty
from fence_prbarrier.key import Key
from fence_prbarrier.scsi import command as build

from .test_clear import FIRST, OUTSIDER, SECOND, STRANGER, clear, clearing, ours, stage
from .test_races import Once
from .world import TAG


@pytest.mark.parametrize("by, number", [(3, None), (3, 2), (OUTSIDER, None), (2, 2)])
def test_what_came_since_it_was_shown(by: int, number: int | None) -> None:
    """Before the first command: nothing is removed, and the message says so."""
    world = stage("spec", "spec")
    steps = clearing(world, by, number)
    fresh = Key.build(TAG, 2, 4_000_000_000)
    for name in world.units:
        assert world.send(77, name, build.register_and_ignore(fresh, True)).good
    before = {name: ours(world, name) for name in world.units}
    with pytest.raises(BarrierBroken, match=f"nothing removed; not begun: {SECOND}"):
        world.finish(steps)
    assert {name: ours(world, name) for name in world.units} == before


@pytest.mark.parametrize(
    "by, number, command",
    [
        *[(by, None, command) for by in (3, OUTSIDER) for command in ("PREEMPT", "RELEASE")],
        (3, 2, "PREEMPT"),
        (2, 2, "PREEMPT"),
    ],
)
def test_what_comes_in_the_middle_stays(by: int, number: int | None, command: str) -> None:
    """A key that was not shown stops the run before it is removed."""
    world = stage("spec")
    fresh = Key.build(TAG, 2, 4_000_000_000)
    strike = Once(
        FIRST, command, lambda: world.send(77, FIRST, build.register_and_ignore(fresh, True))
    )
    with pytest.raises(BarrierError, match="came meanwhile"):
        world.finish(clearing(world, by, number), strike)
    assert strike.done and world.look(FIRST).count(fresh) == 1


def test_another_holder_in_the_middle() -> None:
    """Node 2 gets the reservation while it clears itself: it is left where it is."""
    world = stage("spec")

    def pass_on() -> None:
        world.send(1, FIRST, build.release(world.key(1)))
        for _ in range(3):
            world.send(2, FIRST, build.reserve(world.key(2)))

    strike = Once(FIRST, "REGISTER", pass_on)
    with pytest.raises(BarrierBroken, match="which is left where it is"):
        world.finish(clearing(world, 2, 2), strike)
    assert strike.done and not world.can_write(50, FIRST)
    assert ours(world, FIRST) == sorted(world.key(node) for node in (1, 2, 3)), "taken back"


def test_the_reservation_passes_in_the_very_moment() -> None:
    """It falls to the temporary key, which then stays, so that the others' barrier stands."""
    world = stage("spec", paths=2)
    probed = []

    def pass_on(name: str, command: str) -> None:
        probed.append(command)
        if probed.count("PREEMPT AND ABORT") == 2 and command == "PREEMPT AND ABORT":
            world.send(1, FIRST, build.release(world.key(1)))
            for _ in range(3):
                world.send(2, FIRST, build.reserve(world.key(2)), 1)

    with pytest.raises(BarrierBroken, match="which is left where it is"):
        world.finish(clearing(world, 2, 2), pass_on)
    held = world.look(FIRST).reservation
    assert held is not None and held.key is not None and held.key.node == 2
    clear(world, 3, 2)
    assert ours(world, FIRST) == sorted((world.key(1), world.key(3)))
    held = world.look(FIRST).reservation
    assert held is not None and held.key == world.key(3)


def test_who_was_evicted_meanwhile_clears_no_more() -> None:
    world = stage("spec")
    strike = Once(FIRST, "PREEMPT", lambda: world.evict(1, 3))
    with pytest.raises(BarrierBroken, match=f"{world.key(3)} is not registered"):
        world.finish(clearing(world, 3, 2), strike)
    assert strike.done and world.look(FIRST).count(world.key(2)) == 1


@pytest.mark.parametrize("by", [1, 2, OUTSIDER])
def test_who_is_evicted_in_the_last_moment_is_not_let_in_again(by: int) -> None:
    """A member's REGISTER names the key that it replaces; an outsider had none to lose."""
    world = stage("spec")
    strike = Once(FIRST, "REGISTER", lambda: world.evict(3, by))
    steps = clearing(world, by)
    if by == OUTSIDER:
        world.finish(steps, strike)
    else:
        with pytest.raises(BarrierBroken, match="no path took a key to work with"):
            world.finish(steps, strike)
        assert world.look(FIRST).lives(TAG, by) == [] and not world.can_write(by, FIRST)
        assert len(ours(world, FIRST)) == 2
    assert strike.done


def test_who_is_evicted_in_the_last_moment_of_a_join_that_was_not_remembered() -> None:
    """Its key on the LU tells that it is a member as well as the memory does."""
    world = stage("spec")
    own = world.key(2)
    world.memories[2] = Memory(TAG, 2).reborn(own.incarnation)
    strike = Once(FIRST, "REGISTER", lambda: world.evict(3, 2))
    with pytest.raises(BarrierBroken, match="no path took a key to work with"):
        world.finish(clearing(world, 2), strike)
    assert strike.done and world.look(FIRST).lives(TAG, 2) == []


@pytest.mark.parametrize("by, number", [(3, None), (3, 2), (OUTSIDER, None)])
def test_a_target_without_preempt_and_abort(by: int, number: int | None) -> None:
    """tgt: refused before anything is changed, and nothing else is tried in its place."""
    world = stage("tgt")
    held = world.look(FIRST).reservation
    with pytest.raises(BarrierError, match="target does not know PREEMPT AND ABORT"):
        clear(world, by, number)
    assert len(ours(world, FIRST)) == 3 and world.look(FIRST).reservation == held
    assert {name for _, _, name in world.sent} & {"PREEMPT", "CLEAR"} == set()


@pytest.mark.parametrize("by, number", [(3, None), (3, 2), (OUTSIDER, None)])
def test_a_target_that_lies_is_found_out(by: int, number: int | None) -> None:
    """istgt: GOOD, and the key stays; what the run registered is taken back."""
    world = stage("liar")
    with pytest.raises(BarrierBroken, match=r"did not become clear.*PREEMPT AND ABORT: GOOD"):
        clear(world, by, number)
    assert ours(world, FIRST) == sorted(world.key(node) for node in (1, 2, 3))


def test_other_peoples_property_is_refused() -> None:
    """Rule 6: another type, another tag, LVM."""
    world = stage("spec")
    lvm = Key(0x1000_0000_0000_0001)
    world.send(61, FIRST, build.register_and_ignore(lvm, False))
    with pytest.raises(ForeignProperty, match="LVM"):
        clear(world, 1)
    world.send(61, FIRST, build.register(lvm, 0))
    world.send(1, FIRST, build.release(world.key(1)))
    for _ in range(3):
        world.send(60, FIRST, build.reserve(STRANGER))
    with pytest.raises(ForeignProperty, match="0x7e57"):
        clear(world, 1)
    assert len(ours(world, FIRST)) == 3


def test_the_key_to_work_with_is_removed_by_somebody() -> None:
    world = stage("spec")
    preempts = []

    def strike(name: str, command: str) -> None:
        preempts.append(command)
        if preempts.count("PREEMPT AND ABORT") == 2 and command == "PREEMPT AND ABORT":
            for key in world.look(FIRST).lives(TAG, OUTSIDER):
                assert world.send(1, FIRST, build.preempt(world.key(1), key)).good

    with pytest.raises(BarrierBroken, match="was removed by somebody else"):
        world.finish(clearing(world, OUTSIDER), strike)
    assert len(ours(world, FIRST)) == 3


def test_the_first_failure_tells_what_was_done_and_what_not() -> None:
    world = stage("spec", "spec", "spec")
    strike = Once(SECOND, "READ FULL", lambda: world.send(77, SECOND, build.register_and_ignore(
        Key.build(TAG, 7, 7), False)))  # fmt: skip
    text = f"LU {SECOND} .*nothing removed; cleared before: {FIRST}; not begun: naa.60002"
    with pytest.raises(BarrierBroken, match=text):
        world.finish(clearing(world, 1), strike)
    assert ours(world, FIRST) == [] and len(ours(world, SECOND)) == 4
    assert len(ours(world, "naa.60002")) == 3


class AtTheEnd:
    """Does something before the read-back, the look after the last change was seen to be done."""

    def __init__(self, looks: int, act: Callable[[], object]) -> None:
        self.looks, self.act = looks, act

    def __call__(self, name: str, command: str) -> None:
        self.looks -= command == "READ FULL STATUS"
        if self.looks == 0:
            self.looks = -1
            self.act()


# Looks: as shown; then before and after each change; and the read-back.
RUNS = [(3, 2, 4), (2, 2, 4), (OUTSIDER, None, 6)]


@pytest.mark.parametrize(
    "by, number, looks, what",
    [(*run, what) for run in RUNS for what in ("back", "stranger")]
    + [(*run, "barrier") for run in RUNS[:2]],
)
def test_what_the_read_back_shows(by: int, number: int | None, looks: int, what: str) -> None:
    """Rule 1: a key that is back, a foreign one that is gone, a barrier that is down."""
    world = stage("spec")

    def back() -> None:
        world.send(77, FIRST, build.register_and_ignore(world.key(2), True))

    def stranger() -> None:
        for _ in range(3):
            world.send(60, FIRST, build.register(STRANGER, 0))

    def barrier() -> None:
        world.send(1, FIRST, build.release(world.key(1)))

    acts = {"back": back, "stranger": stranger, "barrier": barrier}
    texts = {"back": "is registered again", "stranger": "is gone too", "barrier": "reserv"}
    end = AtTheEnd(looks, acts[what])
    with pytest.raises(BarrierBroken, match=texts[what]):
        world.finish(clearing(world, by, number), end)
    assert end.looks < 0
