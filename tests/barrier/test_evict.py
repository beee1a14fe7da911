"""Evicting: what success means, who may, and what a delayed eviction may not do."""

from __future__ import annotations

import pytest

from fence_prbarrier.barrier import rules
from fence_prbarrier.barrier.memory import Memory
from fence_prbarrier.barrier.unit import Unit
from fence_prbarrier.errors import (
    BarrierBroken,
    BarrierError,
    CommandFailed,
    ForeignProperty,
    NotMember,
    Rejoined,
)
from fence_prbarrier.key import Key
from fence_prbarrier.scsi import command as build
from fence_prbarrier.simulator.faults import Fault

from .world import TAG, World

FIRST = "naa.60000"
SECOND = "naa.60001"


def three(*profiles: str) -> World:
    world = World(*profiles)
    for node in (1, 2, 3):
        world.join(node)
    world.sent.clear()
    return world


@pytest.mark.parametrize("profile", ["spec", "lio"])
@pytest.mark.parametrize("victim, survivor", [(1, 2), (2, 1), (3, 2)])
def test_the_victim_can_write_no_more(profile: str, victim: int, survivor: int) -> None:
    """Node 1 holds the reservation, so both a holder and another are evicted."""
    world = three(profile, profile)
    done = world.evict(survivor, victim)
    assert all(eviction.evicted for eviction in done.values())
    for name in world.units:
        assert [world.can_write(node, name) for node in (1, 2, 3)] == [
            node != victim for node in (1, 2, 3)
        ]
        held = world.look(name).reservation
        assert held is not None and held.type == 5 and held.key != Key.build(TAG, victim, 1)


def test_three_commands_a_lu_where_nothing_surprises() -> None:
    """READ FULL STATUS, PREEMPT AND ABORT, READ FULL STATUS; identity is one more."""
    world = three("spec", "spec")
    world.evict(3, 2)
    names = [name for node, unit, name in world.sent if unit == FIRST]
    assert names == ["READ FULL STATUS", "PREEMPT AND ABORT", "READ FULL STATUS"]


def test_the_arbiter_is_finished_before_any_other_is_changed() -> None:
    """Rule 5."""
    world = three("spec", "spec", "spec")
    world.evict(1, 2)
    changes = [unit for _, unit, name in world.sent if name == "PREEMPT AND ABORT"]
    assert changes == sorted(world.units)
    assert world.sent[-1][2] == "READ FULL STATUS"


def test_a_failed_arbiter_stops_everything() -> None:
    world = three("spec", "spec")
    world.units[FIRST].add_fault(fault("dead-path", 1, after="READ FULL STATUS"))
    with pytest.raises(BarrierError):
        world.evict(1, 2)
    assert world.look(SECOND).lives(TAG, 2)


def fault(kind: str, node: int, after: str = "", numbers: tuple[int, ...] = ()) -> Fault:
    made = Fault(kind, numbers)
    made.initiator = f"iqn.2003-08.example:n{node}"
    if after:
        made.skip = 1
    return made


def test_already_off_is_verified_anew() -> None:
    world = three("spec", "spec")
    world.evict(1, 2)
    done = world.evict(1, 2)
    assert not any(eviction.evicted for eviction in done.values())
    world.send(1, SECOND, build.release(world.key(1)))
    world.send(1, SECOND, build.clear(world.key(1)))
    with pytest.raises(NotMember, match=SECOND):
        world.evict(1, 2)


def test_a_node_that_never_joined_evicts_nobody() -> None:
    """Rule 3, by memory; and nothing is sent."""
    world = three("spec")
    with pytest.raises(NotMember, match="has not joined in this boot"):
        world.evict(7, 2)
    assert not world.sent


def test_an_evicted_node_evicts_nobody() -> None:
    """Rule 3, by the device: nothing changes on any LU."""
    world = three("spec", "spec")
    world.evict(1, 2)
    before = [world.look(name).generation for name in world.units]
    world.sent.clear()
    with pytest.raises(NotMember, match="has been evicted and may evict nobody"):
        world.evict(2, 1)
    assert [world.look(name).generation for name in world.units] == before
    assert {name for node, _, name in world.sent if node == 2} == {"READ FULL STATUS"}


def test_evicted_from_one_lu_evicts_nobody_on_any() -> None:
    world = three("spec", "spec")
    world.send(1, SECOND, build.preempt(world.key(1), world.key(2)))
    with pytest.raises(NotMember, match=SECOND):
        world.evict(2, 1)
    assert world.look(FIRST).lives(TAG, 1)


def test_missing_reservation_is_put_up_and_is_no_success() -> None:
    """Rule 1: who could write until now is not known; the next try finds the barrier up."""
    world = three("spec", "spec")
    world.send(1, SECOND, build.release(world.key(1)))
    with pytest.raises(BarrierBroken, match=f"LU {SECOND} .*: no reservation stands"):
        world.evict(3, 2)
    assert "PREEMPT AND ABORT" not in [name for _, _, name in world.sent]
    held = world.look(SECOND).reservation
    assert held is not None and held.key == world.key(3)
    world.evict(3, 2)
    assert not world.can_write(2, FIRST) and not world.can_write(2, SECOND)


def test_a_reservation_that_goes_away_in_the_middle_is_put_up_again() -> None:
    world = three("spec", "spec")
    steps = world.evicting(3, 2)
    while next(steps) != (SECOND, "PREEMPT AND ABORT"):
        pass
    world.send(1, FIRST, build.release(world.key(1)))
    world.finish(steps)
    held = world.look(FIRST).reservation
    assert held is not None and held.key == world.key(3)


def test_no_reservation_is_no_barrier() -> None:
    world = three("spec")
    world.send(1, FIRST, build.release(world.key(1)))
    with pytest.raises(BarrierBroken, match="no reservation stands"):
        rules.require_barrier(world.look(FIRST), TAG)


def test_the_arbiter_is_the_same_whatever_the_order_of_the_names() -> None:
    """Rule 5: LUs are ordered by identity."""
    world = three("spec", "spec", "spec")
    world.units = dict(reversed(list(world.units.items())))
    world.evict(1, 2)
    changes = [unit for _, unit, name in world.sent if name == "PREEMPT AND ABORT"]
    assert changes[0] == FIRST


def test_the_arbiter_is_the_same_whatever_the_devices_are_called() -> None:
    """Rule 5: the kernel's names are another node's neither in order nor in number."""
    world = three("spec", "spec", "spec")

    def described(node: int) -> list[Unit]:
        backwards = zip(world.units, ("/dev/sdc", "/dev/sdb", "/dev/sda"))
        return [Unit(name, ((f"nexus {device}", device),)) for name, device in backwards]

    world.described = described  # type: ignore[method-assign]
    world.evict(1, 2)
    changes = [unit for _, unit, name in world.sent if name == "PREEMPT AND ABORT"]
    assert changes[0] == FIRST


def test_another_life_of_the_caller_does_not_vouch_for_it() -> None:
    """Rule 3, by key and not by node: another machine may have this number."""
    world = three("spec")
    memory = world.memory(1)
    world.reboot(1)
    world.join(1)
    world.memories[1] = memory
    with pytest.raises(NotMember, match="found of this node"):
        world.evict(1, 2)
    assert world.look(FIRST).lives(TAG, 2)


def test_the_memory_of_another_boot_evicts_nobody() -> None:
    world = three("spec")
    key = world.key(1)
    world.memories[1] = Memory(TAG, 1, key.incarnation, current=False)
    with pytest.raises(NotMember, match="has not joined in this boot"):
        world.evict(1, 2)


def test_every_life_that_was_seen_is_ended() -> None:
    world = three("spec")
    stale = Key.build(TAG, 2, 17)
    world.send(88, FIRST, build.register_and_ignore(stale, aptpl=True))
    done = world.evict(1, 2)
    assert done[FIRST].evicted == {stale, world.key(2)}
    assert not world.look(FIRST).lives(TAG, 2)


def test_foreign_keys_are_left_alone() -> None:
    """Rule 6: a stranger's registration beside ours is neither removed nor an obstacle."""
    world = three("spec")
    stranger = Key(0xBEEF_0001_0000_0001)
    world.send(60, FIRST, build.register_and_ignore(stranger, aptpl=False))
    world.evict(1, 2)
    assert world.look(FIRST).count(stranger) == 1


@pytest.mark.parametrize("kind", [1, 3, 6, 7, 8])
def test_another_type_is_refused(kind: int) -> None:
    world = three("spec", "spec")
    world.send(1, SECOND, build.release(world.key(1)))
    world.send(1, SECOND, build.reserve(world.key(1), kind))
    with pytest.raises(ForeignProperty, match=f"type {kind}"):
        world.evict(1, 2)
    assert world.look(FIRST).lives(TAG, 2)


@pytest.mark.parametrize("step", ["READ FULL STATUS", "PREEMPT AND ABORT"])
def test_a_delayed_eviction_spares_the_next_life(step: str) -> None:
    """Stopped before ``step``; meanwhile the victim is evicted, reboots, and rejoins."""
    world = three("spec", "spec")
    delayed = world.evicting(1, 2)
    # The first two commands read both LUs: what stops is what comes after.
    for position, (_, command) in enumerate(delayed):
        if position > 1 and command == step:
            break
    world.evict(3, 2)
    world.reboot(2)
    world.join(2)
    with pytest.raises(Rejoined, match="has rejoined meanwhile"):
        world.finish(delayed)
    for name in world.units:
        assert world.look(name).count(world.key(2)) == 1


def test_a_delayed_eviction_spares_a_next_life_with_a_smaller_incarnation() -> None:
    """The victim's clock went back by a year and it remembers nothing."""
    world = three("spec")
    delayed = world.evicting(1, 2)
    while next(delayed)[1] != "PREEMPT AND ABORT":
        pass
    world.evict(3, 2)
    old = world.key(2)
    world.reboot(2)
    world.clock -= 31_536_000
    world.join(2)
    assert world.key(2) < old
    with pytest.raises(Rejoined):
        world.finish(delayed)
    assert world.look(FIRST).count(world.key(2)) == 1


def test_a_target_that_lies_is_found_out() -> None:
    """PREEMPT AND ABORT answers GOOD and the key stays."""
    world = three("liar")
    with pytest.raises(BarrierBroken, match="stayed although the target answered GOOD"):
        world.evict(1, 2)


def test_a_target_without_preempt_and_abort_fails() -> None:
    world = three("tgt")
    with pytest.raises(CommandFailed, match="PREEMPT AND ABORT failed"):
        world.evict(1, 2)
    assert world.look(FIRST).lives(TAG, 2)


def test_a_duel_has_one_winner_in_every_order() -> None:
    """Rule 5: two nodes, two LUs, every order of their commands."""
    verdicts = set()
    for schedule in range(1 << 8):
        world = three("spec", "spec")
        duellists = {1: world.evicting(1, 2), 2: world.evicting(2, 1)}
        won = {}
        turns = [1 if schedule >> bit & 1 else 2 for bit in range(8)]
        for node in turns + [1, 2] * 40:
            if node in won:
                continue
            try:
                next(duellists[node])
            except StopIteration:
                won[node] = True
            except NotMember:
                won[node] = False
        assert sum(won.values()) <= 1, f"schedule {schedule:08b}"
        for winner in (node for node, result in won.items() if result):
            loser = 3 - winner
            for name in world.units:
                assert not world.look(name).lives(TAG, loser)
                assert world.look(name).count(world.key(winner)) == 1
            verdicts.add(winner)
    assert verdicts == {1, 2}
