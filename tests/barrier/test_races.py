"""Two nodes at work at once: what an eviction and a join do to each other."""

from __future__ import annotations

from typing import Any

import pytest

from fence_prbarrier.barrier.everywhere import inspect_everywhere
from fence_prbarrier.errors import BarrierBroken, BarrierError, InvalidInput, NotMember
from fence_prbarrier.key import Key
from fence_prbarrier.scsi import command as build
from fence_prbarrier.simulator import textform
from fence_prbarrier.simulator.faults import parse_fault

from .world import TAG, WRITE_10_ONE_BLOCK, World

FIRST = "naa.60000"
SECOND = "naa.60001"


class Once:
    """Does something before the first command that fits, once."""

    def __init__(self, name: str, command: str, act: Any) -> None:
        self.name, self.command, self.act, self.done = name, command, act, False

    def __call__(self, name: str, command: str) -> None:
        if not self.done and name == self.name and command.startswith(self.command):
            self.done = True
            self.act()


def test_evicted_from_the_arbiter_while_joining_the_others() -> None:
    """The join notices, fails, and leaves no registration behind on the others."""
    world = World("spec", "spec")
    world.join(1)
    world.join(3)
    strike = Once(SECOND, "REGISTER", lambda: world.evict(1, 2))
    with pytest.raises(NotMember, match="is not registered"):
        world.finish(world.joining(2), strike)
    assert strike.done
    for name in world.units:
        assert not world.look(name).lives(TAG, 2)
        assert not world.can_write(2, name)
    with pytest.raises(NotMember, match="reboot"):
        world.join(2)


def test_evicted_while_renewing_its_registration() -> None:
    """The target refuses: REGISTER names the key that must be there (rule 4)."""
    world = World("spec")
    world.join(1)
    world.join(2)
    world.join(3, aptpl="no")  # the last one wins, so node 2 has to register again
    strike = Once(FIRST, "REGISTER", lambda: world.evict(1, 2))
    generation = world.look(FIRST).generation
    with pytest.raises(NotMember, match="was evicted while it was being registered"):
        world.finish(world.joining(2), strike)
    assert strike.done
    assert not world.can_write(2, FIRST)
    assert world.look(FIRST).generation == generation + 1, "only the eviction took effect"


def test_renewing_brings_aptpl_back() -> None:
    """Rule 7: the last registration left it out, so every renewal asks for it."""
    world = World("spec")
    for node in (1, 2):
        world.join(node)
    world.join(3, aptpl="no")
    key = world.key(2)
    done = world.join(2)
    assert done[FIRST].changed and done[FIRST].aptpl and world.key(2) == key
    world.units[FIRST].power_cycle()
    assert world.look(FIRST).keys() == {world.key(1), key, world.key(3)}


def test_a_path_that_comes_back_with_an_older_life() -> None:
    """The same key goes onto it, with APTPL, in place of the older one."""
    world = World("spec")
    world.join(1)
    old = world.key(1)
    world.reboot(1)
    world.join(1)
    world.send(1, FIRST, build.register_and_ignore(old, False), path=1)
    world.paths = 2
    world.join(1)
    assert world.look(FIRST).count(world.key(1)) == 2
    assert not world.look(FIRST).count(old)
    world.units[FIRST].power_cycle()
    assert world.look(FIRST).count(world.key(1)) == 2


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_evicted_while_a_second_path_is_registered(nth: int) -> None:
    world = World("spec", paths=1)
    for node in (1, 2, 3):
        world.join(node)
    world.paths = 2
    seen = []

    def strike(name: str, command: str) -> None:
        if command.startswith("REGISTER"):
            seen.append(command)
            if len(seen) == nth:
                world.paths = 1
                world.evict(1, 2)
                world.paths = 2

    with pytest.raises(BarrierError):
        world.finish(world.joining(2), strike)
    assert len(seen) >= nth
    assert not world.look(FIRST).lives(TAG, 2)
    with pytest.raises(NotMember):
        world.join(2)


def test_a_life_that_holds_the_reservation_leaves_the_barrier_up() -> None:
    """Taking back its registration would release it, so that is left to the evictor."""
    world = World("spec", "spec")
    world.join(1)
    world.join(3)
    world.send(1, SECOND, build.clear(world.key(1)))
    assert world.look(SECOND).bare

    def evict_on_the_arbiter() -> None:
        assert world.send(1, FIRST, build.preempt(world.key(1), world.key(2))).good

    strike = Once(SECOND, "RESERVE", evict_on_the_arbiter)
    with pytest.raises(NotMember):
        world.finish(world.joining(2), strike)
    assert strike.done
    held = world.look(SECOND).reservation
    assert held is not None and held.key == world.key(2)


def test_a_life_that_becomes_the_holder_as_it_leaves_keeps_the_barrier_up() -> None:
    """Between its look and its leaving, its own eviction of the holder makes it the holder."""
    world = World("spec", "spec")
    world.join(1)
    world.join(3)
    acts: list[str] = []

    def strike(name: str, command: str) -> None:
        if not acts and name == SECOND and command == "REGISTER AND IGNORE EXISTING KEY":
            acts.append("evicted on the arbiter")
            assert world.send(3, FIRST, build.preempt(world.key(3), world.key(2))).good
        elif name == SECOND and command == "PREEMPT" and len(acts) == 1:
            acts.append("becomes the holder")
            while not world.send(2, SECOND, build.preempt(world.key(2), world.key(1))).good:
                pass

    with pytest.raises(NotMember):
        world.finish(world.joining(2), strike)
    assert len(acts) == 2
    held = world.look(SECOND).reservation
    assert held is not None and held.key == world.key(2)


def test_a_delayed_registration_of_the_victim_on_the_arbiter() -> None:
    """It lands while another LU is evicted: the last reading sees it, and it is evicted too."""
    world = World("spec", "spec")
    for node in (1, 2, 3):
        world.join(node)

    def land() -> None:
        for _ in range(3):
            if world.send(2, FIRST, build.register_and_ignore(world.key(2), True)).good:
                break

    strike = Once(SECOND, "PREEMPT", land)
    world.finish(world.evicting(1, 2), strike)
    assert strike.done
    for name in world.units:
        assert not world.look(name).lives(TAG, 2)
        assert not world.can_write(2, name)


def test_two_lus_with_one_identity_are_found_out() -> None:
    """A copied disk looks like a second path until only one of the two changes (rule 1)."""
    world = World("spec")
    for node in (1, 2, 3):
        world.join(node)
    original = world.units[FIRST]
    copy = textform.load(textform.dump(original))
    world.paths = 2
    plain_send = world.send

    def send(node: int, name: str, action: Any, path: int = 0) -> Any:
        world.units[name] = (original, copy)[path]
        return plain_send(node, name, action, 0)

    world.send = send  # type: ignore[method-assign]
    with pytest.raises(BarrierError, match="several LUs with one identity"):
        world.evict(1, 2)
    world.units[FIRST] = original
    found = world.finish(world.steps(1, inspect_everywhere(world.described(1))))
    assert "several LUs with one identity" in str(found[FIRST])


def test_two_lus_with_one_identity_that_differ_in_the_reservation_alone() -> None:
    """A join registers by each path and reserves by one; PRGENERATION does not count RESERVE."""
    world = World("spec")
    world.paths = 2
    original = world.units[FIRST]
    copy = textform.load(textform.dump(original))
    plain_send = world.send

    def send(node: int, name: str, action: Any, path: int = 0) -> Any:
        world.units[name] = (original, copy)[path]
        return plain_send(node, name, action, path)

    world.send = send  # type: ignore[method-assign]
    for path, reserves in ((0, True), (1, False)):
        key = Key.build(TAG, 1, 7)
        while not world.send(1, FIRST, build.register_and_ignore(key, False), path).good:
            pass
        assert not reserves or world.send(1, FIRST, build.reserve(key), path).good
    found = world.finish(world.steps(1, inspect_everywhere(world.described(1))))
    assert "several LUs with one identity" in str(found[FIRST])


def test_the_victims_initiator_under_a_strangers_key() -> None:
    """A left-over key on another port of the same initiator may write just as well."""
    world = World("spec", paths=1)
    for node in (1, 2, 3):
        world.join(node)
    world.send(2, FIRST, build.register_and_ignore(0x12340001, False), path=1)
    with pytest.raises(BarrierBroken, match=r"initiator .*n2 is still registered, by a product"):
        world.evict(1, 2)


def test_the_victims_initiator_under_another_members_key() -> None:
    """Two machines copied from one: what the other registers may let the victim write."""
    world = World("spec", paths=1)
    for node in (1, 2, 3):
        world.join(node)
    twin = Key.build(TAG, 4, world.key(2).incarnation)
    world.send(2, FIRST, build.register_and_ignore(twin, False), path=1)
    with pytest.raises(BarrierBroken, match=r"n2 is still registered, .* and node 4 an initiator"):
        world.evict(1, 2)


def test_a_node_never_evicts_itself() -> None:
    """Rule 8."""
    world = World("spec")
    world.join(1)
    world.sent.clear()
    with pytest.raises(InvalidInput, match="never evicts itself"):
        world.evict(1, 1)
    assert not world.sent


def test_a_clock_before_2020_and_nothing_to_go_by() -> None:
    world = World("spec")
    world.clock = 1_000_000
    with pytest.raises(InvalidInput, match="set the clock"):
        world.join(1)
    assert world.look(FIRST).bare


def test_a_boot_that_was_cut_short_goes_on_with_its_incarnation() -> None:
    """Remembered before the first registration: whatever may still land bears the same key."""
    world = World("spec")
    steps = world.joining(1)
    while next(steps)[1] != "REGISTER AND IGNORE EXISTING KEY":
        pass
    key = world.key(1)
    world.clock += 60
    world.join(1)
    assert world.key(1) == key


def test_what_slipped_in_and_went_before_the_read_back_is_drained() -> None:
    """Rule 9: the victim registers a new path after PREEMPT AND ABORT, writes, and takes it back.

    Its own join finds that it has been evicted.  No key tells of it any more when the
    evictor reads back, and the write is in the device: PRGENERATION tells.
    """
    world = World("spec")
    world.join(1)
    world.join(2)
    unit, tags = world.units[FIRST], []
    path = world.nexus(2, 1)

    def slip() -> None:
        world.send(2, FIRST, build.register(0, world.key(2), True), path=1)
        tags.append(unit.submit(path, WRITE_10_ONE_BLOCK, bytes([2]) * 512))
        assert not unit.tasks[tags[0]].verdict
        world.send(2, FIRST, build.register(world.key(2), 0, True), path=1)

    looked = []

    def strike(name: str, command: str) -> None:
        looked.append(command)
        if looked[-2:] == ["PREEMPT AND ABORT", "READ FULL STATUS"]:
            slip()

    world.finish(world.evicting(1, 2), strike)
    assert tags, "it was let write"
    assert unit.complete(tags[0]) is None, "and that can take effect no more"


def test_a_registration_that_stays_needs_no_second_drain() -> None:
    """Another node joins meanwhile: what it did is there to be seen."""
    world = World("spec")
    for node in (1, 2):
        world.join(node)
    strike = Once(FIRST, "PREEMPT", lambda: world.join(3))
    world.finish(world.evicting(1, 2), strike)
    assert strike.done
    assert [each for each in world.sent if "RESET" in each[2]] == []


def test_an_evicted_node_fences_nobody_by_a_path_that_slips_in() -> None:
    """Rule 3: its key is back on a path that it was registering, not on those that it had."""
    world = World("spec", paths=1)
    for node in (1, 2):
        world.join(node)
    world.evict(1, 2)
    world.paths = 2
    world.send(2, FIRST, build.register(0, world.key(2), True), path=1)
    assert world.look(FIRST).count(world.key(2)) == 1
    with pytest.raises(BarrierError, match="RESERVATION CONFLICT"):
        world.evict(2, 1)
    assert world.look(FIRST).count(world.key(1)) == 1
    held = world.look(FIRST).reservation
    assert held is not None and held.key == world.key(1)


def test_a_conflict_that_was_none_takes_no_registration_back() -> None:
    """Rule 8: what the path bore before is not counted as added."""
    world = World("spec", paths=1)
    world.join(1)
    world.join(2)
    world.paths = 2
    world.units[FIRST].add_fault(
        parse_fault(["conflict", "initiator=iqn.2003-08.example:n2", "op=5f"])
    )
    world.join(2)
    assert not world.units[FIRST].faults
    assert world.look(FIRST).count(world.key(2)) == 2


def test_a_life_that_was_evicted_before_its_join_was_done_is_not_taken_up_again() -> None:
    """An eviction that named it may be delayed, and must not hit who tries again."""
    world = World("spec")
    world.join(1)
    steps = world.joining(2)
    while next(steps)[1] != "REPORT CAPABILITIES" or not world.look(FIRST).lives(TAG, 2):
        pass  # killed there: registered, and not remembered as joined
    begun = world.key(2)
    world.evict(1, 2)
    world.join(2)
    assert world.key(2) > begun


def test_who_is_still_joining_fences_nobody() -> None:
    """Rule 3: evicted on the way, its key slips in by the path that comes next."""
    world = World("spec", paths=2)
    world.join(1)
    steps = world.joining(2)
    while next(steps)[1] != "REGISTER AND IGNORE EXISTING KEY":
        pass
    next(steps)  # its first path is registered, the second is next
    world.evict(1, 2)
    next(steps)
    assert world.look(FIRST).count(world.key(2)) == 1
    with pytest.raises(NotMember, match="join here is under way"):
        world.evict(2, 1)
    assert world.look(FIRST).count(world.key(1)) == 2
    with pytest.raises(NotMember, match="reboot"):
        world.finish(steps)
