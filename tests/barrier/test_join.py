"""Joining: keys on every path, one type 5 reservation, incarnations, and when it is refused."""

from __future__ import annotations

import pytest

from fence_prbarrier.errors import (
    BarrierBroken,
    BarrierError,
    CommandFailed,
    ForeignProperty,
    NotMember,
)
from fence_prbarrier.key import Key
from fence_prbarrier.scsi import command as build

from .world import TAG, World

FIRST = "naa.60000"
SECOND = "naa.60001"


def test_three_nodes_three_keys_one_reservation() -> None:
    world = World("spec", "spec")
    for node in (1, 2, 3):
        world.join(node)
    for name in world.units:
        found = world.look(name)
        assert found.keys() == {world.key(1), world.key(2), world.key(3)}
        assert found.reservation is not None
        assert (found.reservation.key, found.reservation.type) == (world.key(1), 5)


def test_again_changes_nothing() -> None:
    world = World("spec", "lio")
    world.join(1)
    key, generations = world.key(1), [world.look(name).generation for name in world.units]
    done = world.join(1)
    assert not any(joined.changed for joined in done.values())
    assert world.key(1) == key
    assert [world.look(name).generation for name in world.units] == generations


def test_every_path_gets_the_same_key() -> None:
    world = World("spec", paths=3)
    world.join(1)
    assert world.look(FIRST).count(world.key(1)) == 3


def test_aptpl_is_asked_for_in_every_registration() -> None:
    """Rule 7: the last registration wins, so each must ask."""
    world = World("spec")
    for node in (1, 2, 3):
        world.join(node)
    world.units[FIRST].power_cycle()
    assert world.look(FIRST).keys() == {world.key(1), world.key(2), world.key(3)}
    assert not world.can_write(9, FIRST)


def test_aptpl_demanded_where_the_target_cannot() -> None:
    world = World("tgt")
    with pytest.raises(CommandFailed, match=r"LU naa.60000 \(.*\): aptpl=yes, .*PTPL_C is 0"):
        world.join(1, aptpl="yes")
    assert world.look(FIRST).bare


def test_a_reboot_brings_a_larger_incarnation_in_place() -> None:
    """Rule 8: the key on the node's own nexus is replaced, the reservation stays."""
    world = World("spec")
    world.join(1)
    old = world.key(1)
    world.reboot(1)
    world.join(1)
    found = world.look(FIRST)
    assert world.key(1) > old
    assert found.keys() == {world.key(1)}
    assert found.reservation is not None and found.reservation.key == world.key(1)


@pytest.mark.parametrize("seconds", [0, -31_536_000])
def test_incarnation_grows_past_what_the_device_shows(seconds: int) -> None:
    """The clock stands still or goes back by a year, and nothing is remembered."""
    world = World("spec")
    world.join(1)
    old = world.key(1)
    world.memories.pop(1)
    world.clock += seconds
    world.join(1)
    assert world.key(1).incarnation == old.incarnation + 1


def test_older_life_on_another_nexus_is_removed_after_the_new_key_stands() -> None:
    world = World("spec")
    old = Key.build(TAG, 1, 5)
    world.send(77, FIRST, build.register_and_ignore(old, aptpl=True))
    world.send(77, FIRST, build.reserve(old))
    world.join(1)
    found = world.look(FIRST)
    assert found.keys() == {world.key(1)}
    assert found.reservation is not None and found.reservation.key == world.key(1)
    names = [name for node, _, name in world.sent if node == 1]
    assert names.index("REGISTER AND IGNORE EXISTING KEY") < names.index("PREEMPT AND ABORT")


def test_evicted_node_does_not_slip_back_in() -> None:
    """Rule 4, and its two remedies."""
    world = World("spec", "spec")
    for node in (1, 2):
        world.join(node)
    old = world.key(2)
    world.evict(1, 2)
    with pytest.raises(NotMember, match="reboot"):
        world.join(2)
    assert not world.look(FIRST).lives(TAG, 2) and not world.look(SECOND).lives(TAG, 2)
    world.clock += 1
    world.join(2, rejoin="allow")
    assert world.key(2) > old


def test_evicted_from_one_is_evicted() -> None:
    """Rule 4 where only one of two LUs lost the key."""
    world = World("spec", "spec")
    for node in (1, 2):
        world.join(node)
    world.send(1, SECOND, build.preempt(world.key(1), world.key(2)))
    with pytest.raises(NotMember, match=SECOND):
        world.join(2)


def test_a_bare_lu_is_joined_again_in_the_same_life() -> None:
    """Rule 4's other half: the device lost its state, or is new."""
    world = World("spec", "spec")
    world.join(1)
    key = world.key(1)
    world.send(1, SECOND, build.clear(key))
    assert world.look(SECOND).bare
    world.join(1)
    assert world.key(1) == key
    assert world.look(SECOND).count(key) == 1


def test_a_new_lu_gets_the_same_key_though_others_joined_it_first() -> None:
    world = World("spec", "spec")
    late = world.units.pop(SECOND)
    world.join(1)
    key = world.key(1)
    world.units[SECOND] = late
    world.join(2)
    world.join(1)
    assert world.key(1) == key
    assert world.look(SECOND).keys() == {key, world.key(2)}


def test_two_machines_with_one_number() -> None:
    world = World("spec")
    world.join(1)
    newer = Key.build(TAG, 1, world.key(1).incarnation + 9)
    world.send(55, FIRST, build.register_and_ignore(newer, aptpl=True))
    # Not NotMember: that would tell the operator to reboot an evicted node.
    with pytest.raises(BarrierBroken, match="two machines have this number"):
        world.join(1)


FOREIGN = [
    ("another tag", 0xBEEF_0001_0000_0001, 5, "cluster tag 0xbeef"),
    ("short key", 0x5E8B0001, 5, "fence_scsi"),
    ("another type", 0x2A97_0009_0000_0001, 1, r"type 1 \(Write Exclusive\)"),
    ("all registrants", 0x2A97_0009_0000_0001, 7, "all registrants"),
    ("LVM", 0x1000_0000_0001_0001, 5, "lvmlockd"),
]


@pytest.mark.parametrize("what, key, kind, words", FOREIGN, ids=[row[0] for row in FOREIGN])
def test_foreign_property_is_refused_untouched(what: str, key: int, kind: int, words: str) -> None:
    """Rule 6: and what is refused on one LU is not begun on another."""
    world = World("spec", "spec")
    world.send(50, SECOND, build.register_and_ignore(key, aptpl=False))
    world.send(50, SECOND, build.reserve(key, kind))
    generation = world.look(SECOND).generation
    with pytest.raises(ForeignProperty, match=words) as refused:
        world.join(1)
    assert SECOND in str(refused.value)
    assert world.look(SECOND).generation == generation
    assert world.look(FIRST).bare


def test_lvm_key_without_a_reservation_is_refused_too() -> None:
    world = World("spec")
    world.send(50, FIRST, build.register_and_ignore(0x1000_0000_0001_0001, aptpl=False))
    with pytest.raises(ForeignProperty, match="LVM"):
        world.join(1)


def test_tgt_joins_without_full_status() -> None:
    """READ KEYS and READ RESERVATION serve where READ FULL STATUS is unknown."""
    world = World("tgt")
    world.join(1)
    found = world.look(FIRST)
    assert not found.full and found.keys() == {world.key(1)}


def test_dead_path_fails_the_join_and_names_the_lu() -> None:
    world = World("spec", "spec")
    from fence_prbarrier.simulator.faults import Fault

    world.units[SECOND].add_fault(Fault("dead-path"))
    with pytest.raises(CommandFailed, match=f"LU {SECOND}.*NO_CONNECT"):
        world.join(1)
    assert world.look(FIRST).bare


def test_join_reads_back() -> None:
    """Rule 1 for a join: a registration that does not stay is an error."""
    world = World("spec")

    def steal(name: str, command: str) -> None:
        if command == "RESERVE":
            world.units[name].power_cycle()

    world.units[FIRST].abilities.aptpl = False
    with pytest.raises((BarrierBroken, BarrierError)):
        world.finish(world.joining(1), steal)
    assert FIRST not in world.memory(1).joined
