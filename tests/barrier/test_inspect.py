"""Inspecting: whole lists, one moment, and never an empty list for an error."""

from __future__ import annotations

import pytest

from fence_prbarrier.barrier.everywhere import inspect_everywhere
from fence_prbarrier.barrier.unit import Unit
from fence_prbarrier.errors import BarrierError, CommandFailed, ProtocolError
from fence_prbarrier.key import Key
from fence_prbarrier.scsi import command as build
from fence_prbarrier.simulator.faults import Fault
from fence_prbarrier.simulator.unit import LogicalUnit

from .world import TAG, World, ends

FIRST = "naa.60000"
STRANGER = 99


def crowded(profile: str, registrations: int) -> World:
    """A LU with that many nexuses, each with its own key."""
    world = World(profile)
    world.units[FIRST] = LogicalUnit(profile, max_registrations=registrations)
    for node in range(1, registrations + 1):
        world.send(node, FIRST, build.register_and_ignore(Key.build(TAG, node, 7), False))
    return world


@pytest.mark.parametrize("profile", ["spec", "lio"])
@pytest.mark.parametrize("registrations", [1, 130, *range(158, 166), 600])
def test_a_long_list_is_read_whole(profile: str, registrations: int) -> None:
    """``lio`` cuts READ FULL STATUS and hides it; every length must come out whole."""
    found = crowded(profile, registrations).look(FIRST, STRANGER)
    assert len(found.registrations) == registrations
    assert found.full


@pytest.mark.parametrize("profile", ["spec", "lio"])
def test_too_many_for_full_status_are_read_as_keys(profile: str) -> None:
    """65535 bytes hold about 800 full descriptors, and 8190 keys."""
    found = crowded(profile, 1000).look(FIRST, STRANGER)
    assert len(found.registrations) == 1000
    assert not found.full


def test_keys_and_reservation_of_one_moment() -> None:
    """Without READ FULL STATUS both are read until their generations agree."""
    world = World("tgt")
    world.join(1)
    reading = world.steps(STRANGER, inspect_everywhere([Unit(FIRST, ends(1))]))
    for count, (_, command) in enumerate(reading):
        if command == "READ RESERVATION" and count < 4:
            world.join(2)
    again = [name for node, _, name in world.sent if node == STRANGER]
    assert again.count("READ KEYS") == 2
    assert world.look(FIRST).keys() == {world.key(1), world.key(2)}


def test_a_list_that_never_stands_still_is_an_error() -> None:
    world = World("tgt")
    world.join(1)
    fresh = iter(range(2, 100))

    def stir(name: str, command: str) -> None:
        if command == "READ RESERVATION":
            key = Key.build(TAG, next(fresh), 7)
            world.send(key.node, FIRST, build.register_and_ignore(key, False))

    found = world.finish(world.steps(STRANGER, inspect_everywhere([Unit(FIRST, ends(1))])), stir)
    assert isinstance(found[FIRST], CommandFailed)


@pytest.mark.parametrize("length", [0, 1, 4, 7, 8, 12])
@pytest.mark.parametrize("profile", ["spec", "tgt"])
def test_a_short_reply_is_an_error(profile: str, length: int) -> None:
    """Rule 2: sg_persist takes such replies for an empty list."""
    world = World(profile)
    world.join(1)
    fault = Fault("truncated", (length,))
    fault.times, fault.opcode = 99, 0x5E
    world.units[FIRST].add_fault(fault)
    found = world.finish(world.steps(STRANGER, inspect_everywhere([Unit(FIRST, ends(1))])))
    assert isinstance(found[FIRST], ProtocolError), found


@pytest.mark.parametrize("host", [0x01, 0x03, 0x0E])
def test_a_dead_path_is_an_error(host: int) -> None:
    world = World("spec")
    world.join(1)
    world.units[FIRST].add_fault(Fault("dead-path", (host,)))
    found = world.finish(world.steps(STRANGER, inspect_everywhere([Unit(FIRST, ends(1))])))
    assert isinstance(found[FIRST], BarrierError)
    assert f"host status {host:02X}h" in str(found[FIRST])


def test_the_other_path_serves_where_one_is_dead() -> None:
    world = World("spec", paths=2)
    world.join(1)
    fault = Fault("dead-path")
    fault.port = 1
    world.units[FIRST].add_fault(fault)
    found = world.finish(world.steps(1, inspect_everywhere(world.described(1))))
    assert found[FIRST].count(world.key(1)) == 2


def test_reading_changes_nothing_and_sends_no_test_unit_ready() -> None:
    world = World("spec")
    world.join(1)
    generation = world.look(FIRST).generation
    world.sent.clear()
    world.look(FIRST)
    assert [name for _, _, name in world.sent] == ["READ FULL STATUS"]
    assert world.look(FIRST).generation == generation
