"""What only the last reading can show: others act between the last command and it (rule 1)."""

from __future__ import annotations

from typing import Callable

import pytest

from fence_prbarrier.errors import BarrierBroken, BarrierError, ForeignProperty, NotMember
from fence_prbarrier.key import Key
from fence_prbarrier.scsi import command as build
from fence_prbarrier.simulator.faults import Fault, parse_fault

from .world import TAG, World

LU = "naa.60000"
STRANGER = Key(0xBEEF_0001_0000_0001)
READ = "READ FULL STATUS"


def three() -> World:
    world = World("spec")
    for node in (1, 2, 3):
        world.join(node)
    return world


def after(last: str, act: Callable[[], object]) -> Callable[[str, str], None]:
    """Acts before each reading that follows the command ``last``."""
    seen = []

    def before(name: str, command: str) -> None:
        if command == last:
            seen.append(command)
        elif command == READ and seen:
            act()

    return before


def test_a_reservation_that_somebody_takes_away_again_and_again() -> None:
    """Each pass puts it up and reads that it is gone: no success, within the limit."""
    world = three()

    def release() -> None:
        held = world.look(LU).reservation
        if held is None or held.key is None:
            return
        while not world.send(held.key.node, LU, build.release(held.key)).good:
            pass  # unit attentions come first

    with pytest.raises(BarrierBroken, match="no reservation stands"):
        world.finish(world.evicting(3, 2), after("PREEMPT AND ABORT", release))


def test_a_reservation_that_another_cluster_takes_over() -> None:
    world = three()

    def take() -> None:
        world.send(60, LU, build.register_and_ignore(STRANGER, aptpl=False))
        world.send(60, LU, build.preempt(STRANGER, world.key(1)))

    with pytest.raises(ForeignProperty, match="reserved by cluster tag 0xbeef"):
        world.finish(world.evicting(3, 2), after("PREEMPT AND ABORT", take))


def test_a_node_that_is_evicted_after_its_last_command() -> None:
    """It has evicted the victim, and is no member any more when it reads that."""
    world = three()

    def strike() -> None:
        world.send(1, LU, build.preempt(world.key(1), world.key(3)))

    with pytest.raises(NotMember, match="has been evicted"):
        world.finish(world.evicting(3, 2), after("PREEMPT AND ABORT", strike))
    assert not world.look(LU).lives(TAG, 2)


def test_another_machine_with_this_number_joins_meanwhile() -> None:
    """A newer life of this number on another nexus: neither may take itself for the only one."""
    world = three()
    newer = Key.build(TAG, 4, (1 << 32) - 2)

    def appear() -> None:
        world.send(77, LU, build.register_and_ignore(newer, aptpl=True))

    with pytest.raises(BarrierBroken, match="other incarnations of this node"):
        world.finish(world.joining(4), after("REGISTER AND IGNORE EXISTING KEY", appear))
    assert world.look(LU).count(newer) == 1


def test_another_node_switches_aptpl_off_meanwhile() -> None:
    """Rule 7: the last registration wins, and this one was not the last."""
    world = three()

    def switch_off() -> None:
        world.send(3, LU, build.register_and_ignore(world.key(3), aptpl=False))

    with pytest.raises(BarrierBroken, match="APTPL was asked for"):
        world.finish(world.joining(4), after("REGISTER AND IGNORE EXISTING KEY", switch_off))


def test_the_same_number_in_another_cluster_is_not_the_victim() -> None:
    """Rule 6: a registrant of another tag stays, whatever its number."""
    world = three()
    namesake = Key.build(0xBEEF, 2, 1)
    world.send(60, LU, build.register_and_ignore(namesake, aptpl=True))
    done = world.evict(3, 2)
    assert done[LU].evicted == {world.key(2)}
    assert world.look(LU).count(namesake) == 1


def test_another_cluster_takes_over_between_two_tries() -> None:
    """Rule 6: what is read after a conflict is looked at as what was read first."""
    world = three()
    tries = []

    def before(name: str, command: str) -> None:
        if command != "PREEMPT AND ABORT":
            return
        tries.append(command)
        if len(tries) == 1:
            world.send(60, LU, build.register_and_ignore(STRANGER, aptpl=False))
            world.send(60, LU, build.preempt(STRANGER, world.key(1)))
            world.units[LU].add_fault(Fault("conflict"))

    with pytest.raises(ForeignProperty):
        world.finish(world.evicting(3, 2), before)
    assert len(tries) == 1 and world.look(LU).lives(TAG, 2)


def test_a_registration_that_comes_and_goes_each_time() -> None:
    """Each pass drains what the last one let in; where that does not end, there is no success."""
    world = three()
    key = world.key(2)

    def come_and_go() -> None:
        while not world.send(2, LU, build.register_and_ignore(key, True)).good:
            pass
        world.send(2, LU, build.register(key, 0, True))

    with pytest.raises(BarrierBroken, match="came and went each time"):
        world.finish(world.evicting(3, 2), after("PREEMPT AND ABORT", come_and_go))
    assert not world.look(LU).lives(TAG, 2)


def test_an_eviction_that_was_cut_short_after_the_arbiter_is_completed() -> None:
    """The victim stands on the second LU alone then; that life is named all the same."""
    world = World("spec", "spec")
    for node in (1, 2, 3):
        world.join(node)
    first, second = world.units
    for name, command in world.evicting(3, 2):
        if name == second and command == "PREEMPT AND ABORT":
            break  # the caller dies here
    assert not world.look(first).lives(TAG, 2) and world.look(second).lives(TAG, 2)
    done = world.evict(1, 2)
    assert done[second].evicted and not done[first].evicted
    assert not world.look(second).lives(TAG, 2)


def test_the_victims_initiator_is_known_by_any_lu() -> None:
    """Rule 1: its key is on the second LU alone, and a stranger's is on its port of the first."""
    world = World("spec", "spec")
    for node in (1, 2, 3):
        world.join(node)
    first, _ = world.units
    while not world.send(2, first, build.register_and_ignore(STRANGER, aptpl=True)).good:
        pass
    with pytest.raises(BarrierBroken, match=r"initiator .*n2 is still registered"):
        world.evict(1, 2)


def test_a_reservation_that_goes_while_the_other_lus_are_joined() -> None:
    """on succeeds only where the barrier stands on every LU at the end."""
    world = World("spec", "spec")
    world.join(1)
    first, second = world.units
    struck: list[str] = []

    def release(name: str, command: str) -> None:
        if name == second and command.startswith("REGISTER") and not struck:
            struck.append(command)
            while not world.send(1, first, build.release(world.key(1))).good:
                pass

    with pytest.raises(BarrierBroken, match="no reservation stands"):
        world.finish(world.joining(2), release)
    assert struck


def test_a_path_that_does_not_know_persistent_reservations_is_no_lost_path() -> None:
    """It has answered, so it is alive, and whose LU it leads to is in doubt (rule 2)."""
    world = World("spec", paths=2)
    for node in (1, 2, 3):
        world.join(node)
    world.units[LU].add_fault(parse_fault(["sense:05/20/00", "op=5e", "port=2", "times=always"]))
    with pytest.raises(BarrierError, match="READ KEYS: CHECK CONDITION"):
        world.evict(3, 2)


def test_a_path_that_loses_its_registration_while_the_other_lus_are_joined() -> None:
    """on succeeds only where the last reading shows the key on each path."""
    world = World("spec", "spec", paths=2)
    world.join(1)
    first, second = world.units
    struck: list[str] = []

    def take(name: str, command: str) -> None:
        if name == second and command.startswith("REGISTER") and not struck:
            struck.append(command)
            while not world.send(2, first, build.register(world.key(2), 0, True), path=1).good:
                pass

    with pytest.raises(BarrierBroken, match="registered on 1 of 2 paths"):
        world.finish(world.joining(2), take)
    assert struck
