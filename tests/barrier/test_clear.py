"""Clearing a LU: what goes, what stays, and one fault at every step of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fence_prbarrier.barrier.clear import clear_everywhere
from fence_prbarrier.barrier.everywhere import in_order, inspect_everywhere
from fence_prbarrier.barrier.order import Order, check
from fence_prbarrier.errors import BarrierBroken, BarrierError, NotMember
from fence_prbarrier.key import Key, next_incarnation
from fence_prbarrier.scsi import command as build

from .test_faults import FAULTS, IDS, _strike
from .test_nexus_names import Named
from .world import TAG, World

FIRST, SECOND = "naa.60000", "naa.60001"
STRANGER = Key.build(0x7E57, 1, 77)
MAX_STEPS = 60
# Node 9 has not joined; node 1 holds the reservation.
OUTSIDER = 9


def stage(*profiles: str, paths: int = 1) -> World:
    """Nodes 1, 2 and 3 have joined, and a stranger is registered too."""
    world = World(*profiles, paths=paths)
    for node in (1, 2, 3):
        world.join(node)
    for name in world.units:
        assert world.send(60, name, build.register_and_ignore(STRANGER, False)).good
    world.sent.clear()
    return world


def orders(world: World, node: int, number: int | None) -> dict[str, Order]:
    """What clear would do, from a look at every LU."""
    units = in_order(world.described(node))
    looks = world.finish(world.steps(node, inspect_everywhere(units)))
    memory = world.memory(node)
    seen = [key.incarnation for found in looks.values() for key in found.lives(TAG, node)]
    temporary = Key.build(TAG, node, next_incarnation(seen, memory.incarnation, world.clock))
    return {
        name: Order(number, memory.key, temporary, found, name in memory.joined)
        for name, found in looks.items()
    }


def clearing(world: World, node: int, number: int | None = None) -> Iterator[tuple[str, str]]:
    """Steps of clear after such a look."""
    made = orders(world, node, number)
    for name, order in made.items():
        check(order, order.shown)
        assert world.units[name] is not None
    world.sent.clear()
    return world.steps(node, clear_everywhere(in_order(world.described(node)), made))


def clear(world: World, node: int, number: int | None = None) -> Any:
    return world.finish(clearing(world, node, number))


def ours(world: World, name: str) -> list[Key]:
    """The cluster's keys that a LU bears."""
    keys = world.look(name).keys()
    return sorted(key for key in keys if key.tag == TAG)


# Who clears which node, by how many paths.
CASES = {
    "all, by a member": (1, None, 1),
    "all, by two paths": (1, None, 2),
    "all, by the holder's peer": (3, None, 1),
    "all, by an outsider": (OUTSIDER, None, 1),
    "one, by a member": (3, 2, 1),
    "one, by two paths": (3, 2, 2),
    "the holder, by a member": (3, 1, 1),
    "itself": (2, 2, 1),
    "itself, by two paths": (2, 2, 2),
}


@pytest.mark.parametrize("profile", ["spec", "lio"])
@pytest.mark.parametrize("case", CASES)
def test_what_goes_and_what_stays(profile: str, case: str) -> None:
    by, number, paths = CASES[case]
    world = stage(profile, profile, paths=paths)
    gone = {1, 2, 3} if number is None else {number}
    keys = {node: world.key(node) for node in (1, 2, 3)}
    done = clear(world, by, number)
    for name in world.units:
        assert set(done[name]) == {keys[node] for node in gone}
        assert ours(world, name) == sorted(keys[node] for node in keys if node not in gone)
        found = world.look(name)
        assert found.count(STRANGER) == 1
        assert (found.reservation is None) == (number is None)
        if found.reservation is not None:
            assert not world.can_write(50, name)
            assert [world.can_write(node, name) for node in (1, 2, 3)] == [
                node not in gone for node in (1, 2, 3)
            ]
    names = {command for _, _, command in world.sent}
    assert not names & {"CLEAR", "RESERVE", "REGISTER AND IGNORE EXISTING KEY"}


def _check_unharmed(world: World, number: int | None, keys: dict[int, Key], what: object) -> None:
    """Whatever happened: no foreign key is gone, and the barrier of who was to stay is up."""
    for name in world.units:
        found = world.look(name)
        assert found.count(STRANGER) == 1, (what, name)
        if number is None:
            continue
        assert found.reservation is not None and found.reservation.key is not None, (what, name)
        assert found.reservation.key.tag == TAG
        for node, key in keys.items():
            assert node == number or found.count(key) == world.paths, (what, name, node)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind, numbers", FAULTS, ids=IDS)
@pytest.mark.parametrize("profile", ["spec", "lio"])
def test_one_fault_at_every_step(
    profile: str, kind: str, numbers: tuple[int, ...], case: str
) -> None:
    """Success is never a false one, nothing else is harmed, and the next run finishes."""
    by, number, paths = CASES[case]
    steps = 0
    for at in range(MAX_STEPS):
        world = stage(profile, profile, paths=paths)
        keys = {node: world.key(node) for node in (1, 2, 3)}
        result, struck = _strike(world, clearing(world, by, number), at, kind, numbers)  # type: ignore[misc]
        for unit in world.units.values():
            unit.faults.clear()
        if not struck:
            break
        steps += 1
        _check_unharmed(world, number, keys, struck)
        if isinstance(result, BarrierError):
            world.clock += 1
            clear(world, by, number)
            _check_unharmed(world, number, keys, struck)
        expected = [] if number is None else sorted(keys[n] for n in keys if n != number)
        for name in world.units:
            assert ours(world, name) == expected, (struck, name)
            assert (world.look(name).reservation is None) == (number is None), (struck, name)
    assert 6 <= steps < MAX_STEPS


@pytest.mark.parametrize("next_by", ["the same", "another"])
@pytest.mark.parametrize("case", CASES)
def test_a_run_that_was_cut_short_is_finished_by_the_next(case: str, next_by: str) -> None:
    """Cut off before each of its commands; what it leaves is its own node's or to be removed."""
    by, number, paths = CASES[case]
    for at in range(MAX_STEPS):
        world = stage("spec", "spec", paths=paths)
        keys = {node: world.key(node) for node in (1, 2, 3)}
        steps = clearing(world, by, number)
        if len([None for _, step in zip(range(at + 1), steps)]) <= at:
            break
        _check_unharmed(world, number, keys, at)
        for name in world.units:
            assert {key.node for key in ours(world, name) if key not in keys.values()} <= {by}
        world.clock += 1
        # A node whose key went already counts as evicted, so another one that finishes it is fresh.
        another = OUTSIDER + 1 if number is None else 1 if number == 2 else 3
        clear(world, by if next_by == "the same" else another, number)
        _check_unharmed(world, number, keys, at)
        expected = [] if number is None else sorted(keys[n] for n in keys if n != number)
        for name in world.units:
            assert ours(world, name) == expected, (case, at)
    assert 6 <= at < MAX_STEPS


def test_commands() -> None:
    """Where nothing surprises: each change once, and a look after it."""
    world = stage("spec")
    clear(world, 3, 2)
    looks = "READ FULL STATUS"
    assert [name for _, _, name in world.sent] == [
        looks, looks, "PREEMPT AND ABORT", looks, looks,
    ]  # fmt: skip
    clear(world, 3)
    assert [name for _, _, name in world.sent if name not in (looks, "REPORT CAPABILITIES")] == [
        "PREEMPT AND ABORT", "REGISTER", "PREEMPT AND ABORT", "RELEASE", "REGISTER",
    ]  # fmt: skip


def test_aptpl_stays_as_it_was() -> None:
    """The last REGISTER decides for everybody's registrations (rule 7), so it asks for it too."""
    for aptpl in ("auto", "no"):
        world = World("spec")
        for node in (1, 2, 3):
            world.join(node, aptpl=aptpl)
        clear(world, 2, 2)
        world.units[FIRST].power_cycle()
        assert len(ours(world, FIRST)) == (2 if aptpl == "auto" else 0)


def test_own_registrations_on_other_nexuses_go_too() -> None:
    world = stage("spec", paths=2)
    assert world.look(FIRST).count(world.key(1)) == 2
    world.paths = 1
    clear(world, 1)
    assert ours(world, FIRST) == [] and world.look(FIRST).reservation is None


def test_a_foreign_key_on_this_nodes_own_nexus_is_not_replaced() -> None:
    """REGISTER names what it replaces, so the target refuses; another path may do."""
    other = Key.build(0x7E57, 9, 1)
    for paths in (1, 2):
        world = stage("spec", paths=paths)
        assert world.send(OUTSIDER, FIRST, build.register_and_ignore(other, False)).good
        if paths == 1:
            with pytest.raises(BarrierBroken, match="no path took a key to work with"):
                clear(world, OUTSIDER)
            assert len(ours(world, FIRST)) == 3
        else:
            clear(world, OUTSIDER)
            assert ours(world, FIRST) == []
        assert world.look(FIRST).count(other) == 1


def refused_unsent(world: World, by: int, number: int | None, match: str) -> None:
    """The order's own check refuses it, and the procedure does, before anything is changed."""
    before = {name: world.look(name) for name in world.units}
    made = orders(world, by, number)
    for order in made.values():
        with pytest.raises(NotMember, match=match):
            check(order, order.shown)
    world.sent.clear()
    with pytest.raises(BarrierBroken, match=match):
        world.finish(world.steps(by, clear_everywhere(in_order(world.described(by)), made)))
    assert {name for _, _, name in world.sent} == {"READ FULL STATUS"}
    assert all(world.look(name).agrees(before[name]) for name in world.units)


def test_only_a_member_removes_another_nodes_keys() -> None:
    """Neither who never joined, nor who has not joined again since its reboot."""
    world = stage("spec", "spec")
    world.reboot(1)
    for by in (OUTSIDER, 1):
        for number in (2, 3):
            refused_unsent(world, by, number, "not registered on the LU in this boot.*joined")


@pytest.mark.parametrize("number", [None, 2])
def test_who_has_been_evicted_clears_nothing(number: int | None) -> None:
    """It may write nothing, and a temporary key would let it; once rebooted it may clear all."""
    world = stage("spec", "spec")
    world.evict(1, 3)
    refused_unsent(world, 3, number, "has been evicted since: reboot it, then clear")
    assert not world.can_write(3, FIRST)
    assert clear(world, 3, 3) == {FIRST: [], SECOND: []}, "nothing of it is there"
    world.reboot(3)
    clear(world, 3)
    assert ours(world, FIRST) == ours(world, SECOND) == []


def test_a_member_of_many_paths_finds_the_one_that_is_registered() -> None:
    """Which one is not told here, so one after the other is tried."""
    paths = 12
    world = stage("spec", paths=paths)
    for path in range(paths - 1):
        assert world.send(3, FIRST, build.register(world.key(3), 0), path).good
    clear(world, 3, 2)
    assert ours(world, FIRST) == sorted((world.key(1), world.key(3)))


def test_a_member_begins_with_a_path_that_is_registered() -> None:
    """Where it is told which one bears the key, no conflict is needed to find that out."""
    fabric = Named("spec")
    fabric.ports = {1: [0, 1], 2: [0]}
    for node in (2, 1):
        fabric.join(node)
    assert fabric.send(1, FIRST, build.register(fabric.key(1), 0), 0).good
    clear(fabric, 1, 2)
    assert [name for _, _, name in fabric.sent].count("PREEMPT AND ABORT") == 1
    assert ours(fabric, FIRST) == [fabric.key(1)]


def test_the_barrier_of_others_does_not_fall() -> None:
    """Who holds the reservation for others is not cleared by itself."""
    world = stage("spec")
    with pytest.raises(BarrierBroken, match="the barrier falls for"):
        clear(world, 1, 1)
    assert len(ours(world, FIRST)) == 3 and not world.can_write(50, FIRST)


def test_the_last_node_goes_with_its_reservation() -> None:
    world = World("spec")
    world.join(1)
    clear(world, 1, 1)
    assert world.look(FIRST).bare
