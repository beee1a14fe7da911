"""Rule 9: nothing of the victim is on its way once an eviction has succeeded."""

from __future__ import annotations

import pytest

from fence_prbarrier.barrier.drain import Drain, check_policy, resolve
from fence_prbarrier.errors import BarrierBroken, CommandFailed, InvalidInput
from fence_prbarrier.scsi import command as build
from fence_prbarrier.simulator.codes import LOGICAL_UNIT_RESET
from fence_prbarrier.simulator.faults import Fault

from .world import WRITE_10_ONE_BLOCK, World

FIRST = "naa.60000"


def _in_flight(profile: str, victim: int) -> World:
    """Three members; a write of ``victim`` has been accepted and is still to take effect."""
    world = World(profile)
    for node in (1, 2, 3):
        world.join(node)
        world.can_write(node, FIRST)  # takes pending unit attentions away
    world.units[FIRST].submit(world.nexus(victim), WRITE_10_ONE_BLOCK, b"late" * 128)
    world.sent.clear()
    return world


def _arrives_late(world: World) -> bool:
    """Let everything that is in the LU finish; whether the late write took effect."""
    unit = world.units[FIRST]
    done = [unit.complete(tag) for tag in list(unit.tasks)]
    return any(answer is not None and answer.status == 0 for answer in done)


# profile, drain, victim (1 holds the reservation), does the write arrive after success?
TABLE = [
    ("spec", "auto", 1, False),
    ("spec", "auto", 2, False),
    ("spec", "target", 2, False),
    ("lio", "auto", 1, False),
    ("lio", "auto", 2, False),
    ("lio", "reset", 2, False),
    ("lio", "target", 1, False),
    # The hole of this target, as evidence that the test can see one:
    ("lio", "target", 2, True),
    ("lio", "wait:3", 2, True),  # time does not pass in the simulator
]


@pytest.mark.parametrize("profile, drain, victim, late", TABLE)
def test_in_flight_write(profile: str, drain: str, victim: int, late: bool) -> None:
    world = _in_flight(profile, victim)
    world.evict(3, victim, drain)
    assert _arrives_late(world) is late


def test_auto_resets_where_the_kind_of_target_needs_it() -> None:
    for profile, resets in (("spec", 0), ("lio", 1)):
        world = _in_flight(profile, 2)
        done = world.evict(3, 2)
        assert [name for _, _, name in world.sent].count("LOGICAL UNIT RESET") == resets
        assert ("reset" in done[FIRST].guarantee) is bool(resets)


def test_auto_resets_where_no_abort_was_seen_to_end() -> None:
    """The key was gone already: whoever removed it may not have lived to see the abort end."""
    world = _in_flight("spec", 2)
    world.evict(3, 2)
    done = world.evict(1, 2)
    assert not done[FIRST].evicted
    assert [name for _, _, name in world.sent].count("LOGICAL UNIT RESET") == 1


def test_auto_resets_where_the_barrier_was_down() -> None:
    """Then nexuses without a registration could write too, and nothing of theirs is aborted."""
    world = _in_flight("spec", 2)
    world.send(1, FIRST, build.release(world.key(1)))
    with pytest.raises(BarrierBroken, match="no reservation stands"):
        world.evict(3, 2)
    assert [name for _, _, name in world.sent if name == "LOGICAL UNIT RESET"]
    assert not _arrives_late(world)


def test_auto_resets_where_the_barrier_went_down_meanwhile() -> None:
    """The abort is answered GOOD, and aborts nothing of whoever could write without a key."""
    world = _in_flight("spec", 2)
    unit = world.units[FIRST]

    def release(name: str, command: str) -> None:
        if command == "PREEMPT AND ABORT" and len(unit.tasks) == 1:
            world.send(1, FIRST, build.release(world.key(1)))
            unit.submit(world.nexus(66), WRITE_10_ONE_BLOCK, b"none" * 128)
            unit.add_fault(Fault("conflict"))

    done, _ = world.finish(world.evicting(3, 2), release)
    assert "reset" in done[FIRST].guarantee
    assert not _arrives_late(world)


@pytest.mark.parametrize("stays", [False, True])
def test_a_registration_that_came_and_went_let_a_write_in(stays: bool) -> None:
    """It came after the removal and went before the read-back: only PRGENERATION tells.

    With another one that stays, and is removed by an abort that is answered GOOD.
    """
    world = _in_flight("spec", 2)
    unit = world.units[FIRST]
    struck = []

    def come_and_go(name: str, command: str) -> None:
        if command == "PREEMPT AND ABORT":
            struck.append(len(struck))
        elif len(struck) == 1 and command == "READ FULL STATUS":
            struck.append(len(struck))
            key = world.key(2)
            while not world.send(2, FIRST, build.register_and_ignore(key, True), path=1).good:
                pass
            unit.submit(world.nexus(2, 1), WRITE_10_ONE_BLOCK, b"late" * 128)
            assert world.send(2, FIRST, build.register(key, 0, True), path=1).good
            if stays:
                while not world.send(2, FIRST, build.register_and_ignore(key, True)).good:
                    pass

    done, _ = world.finish(world.evicting(3, 2), come_and_go)
    assert struck and unit.tasks == {}
    assert not world.can_write(2, FIRST)
    # What the first pass ended is told, whatever the second found.
    assert done[FIRST].evicted == {world.key(2)}


def test_a_lu_that_held_is_looked_at_again_when_another_did_not() -> None:
    """While the second pass is about the second LU, a registration comes and goes on the first."""
    world = World("spec", "spec")
    for node in (1, 2, 3):
        world.join(node)
    names = list(world.units)
    passes = dict.fromkeys(names, 0)

    def come_and_go(name: str, command: str) -> None:
        passes[name] += command in ("PREEMPT AND ABORT", "LOGICAL UNIT RESET")
        struck = [passes[names[0]], passes[names[1]]]
        # Before the first read-back of the second LU; then before the second one of the first.
        if command != "READ FULL STATUS" or (name, struck) not in (
            (names[1], [1, 1]),
            (names[0], [1, 2]),
        ):
            return
        unit, key = world.units[name], world.key(2)
        while not world.send(2, name, build.register_and_ignore(key, True), path=1).good:
            pass
        unit.submit(world.nexus(2, 1), WRITE_10_ONE_BLOCK, b"late" * 128)
        assert world.send(2, name, build.register(key, 0, True), path=1).good

    done, _ = world.finish(world.evicting(3, 2), come_and_go)
    assert passes == {names[0]: 2, names[1]: 2}
    for name in names:
        assert "reset" in done[name].guarantee
        assert world.units[name].tasks == {}


@pytest.mark.parametrize("drain", ["auto", "target"])
def test_what_came_and_went_after_a_power_loss_of_the_target(drain: str) -> None:
    """APTPL keeps the registrations, and PRGENERATION begins anew: smaller, and so no vouching."""
    world = _in_flight("spec", 2)
    unit = world.units[FIRST]
    commands: list[str] = []

    def lose_power(name: str, command: str) -> None:
        commands.append(command)
        if commands[-2:] != ["PREEMPT AND ABORT", "READ FULL STATUS"]:
            return
        key = world.key(2)
        unit.power_cycle()
        while not world.send(2, FIRST, build.register_and_ignore(key, True), path=1).good:
            pass
        unit.submit(world.nexus(2, 1), WRITE_10_ONE_BLOCK, b"late" * 128)
        assert world.send(2, FIRST, build.register(key, 0, True), path=1).good

    if drain == "target":
        with pytest.raises(CommandFailed, match="no PREEMPT AND ABORT was seen to end"):
            world.finish(world.evicting(3, 2, drain), lose_power)
        return
    done, _ = world.finish(world.evicting(3, 2), lose_power)
    assert "reset" in done[FIRST].guarantee
    assert unit.tasks == {}


def test_wait_lets_that_much_time_pass() -> None:
    world = _in_flight("spec", 2)
    world.evict(3, 2, "wait:7")
    assert world.paused_seconds == 7


def test_wait_lets_time_pass_where_the_barrier_was_down_too() -> None:
    world = _in_flight("spec", 2)
    world.send(1, FIRST, build.release(world.key(1)))
    with pytest.raises(BarrierBroken, match="no reservation stands"):
        world.evict(3, 2, "wait:7")
    assert world.paused_seconds == 7


def test_lost_answer_of_preempt_and_abort() -> None:
    """auto makes sure by a reset; target cannot, and says so."""
    for drain in ("auto", "target"):
        world = _in_flight("spec", 2)
        fault = Fault("lost-reply")
        fault.opcode, fault.action = 0x5F, 0x05
        world.units[FIRST].add_fault(fault)
        if drain == "auto":
            assert "reset" in world.evict(3, 2, drain)[FIRST].guarantee
        else:
            with pytest.raises(CommandFailed, match="no PREEMPT AND ABORT was seen to end"):
                world.evict(3, 2, drain)


@pytest.mark.parametrize("drain", ["auto", "target"])
def test_an_abort_of_what_came_back_does_not_vouch_for_the_one_that_was_lost(drain: str) -> None:
    """The victim's REGISTER lands between the two: GOOD then tells of the new nexus alone."""
    world = _in_flight("spec", 2)
    fault = Fault("lost-reply")
    fault.opcode, fault.action = 0x5F, 0x05
    world.units[FIRST].add_fault(fault)
    struck: list[str] = []

    def come_back(name: str, command: str) -> None:
        if command == "PREEMPT AND ABORT":
            struck.append(command)
        elif struck == ["PREEMPT AND ABORT"]:
            struck.append(command)
            while not world.send(2, FIRST, build.register(0, world.key(2), True), path=1).good:
                pass

    steps = world.evicting(3, 2, drain)
    if drain == "auto":
        done, _ = world.finish(steps, come_back)
        assert "reset" in done[FIRST].guarantee
    else:
        with pytest.raises(CommandFailed, match="no PREEMPT AND ABORT was seen to end"):
            world.finish(steps, come_back)
    assert struck.count("PREEMPT AND ABORT") == 2


def test_lio_is_asked_for_no_abort() -> None:
    """It would wait for a host that may be dead; the reset is given nothing to wait for."""
    for drain in ("auto", "reset"):
        world = _in_flight("lio", 2)
        world.evict(3, 2, drain)
        changes = [name for _, _, name in world.sent if not name.startswith("READ")]
        assert changes == ["PREEMPT", "SYNCHRONIZE CACHE", "LOGICAL UNIT RESET"]


def test_reset_elsewhere_comes_on_top_of_the_abort() -> None:
    world = _in_flight("spec", 2)
    world.evict(3, 2, "reset")
    changes = [name for _, _, name in world.sent if not name.startswith("READ")]
    assert changes == ["PREEMPT AND ABORT", "LOGICAL UNIT RESET"]


@pytest.mark.parametrize("kind", ["lost-reply", "lost-command"])
def test_what_comes_before_the_reset_may_fail(kind: str) -> None:
    """SYNCHRONIZE CACHE only makes the reset quick."""
    world = _in_flight("lio", 2)
    fault = Fault(kind)
    fault.opcode = 0x35
    world.units[FIRST].add_fault(fault)
    assert "reset" in world.evict(3, 2)[FIRST].guarantee
    assert not _arrives_late(world)


def test_preempt_needs_a_reset() -> None:
    with pytest.raises(ValueError, match="PREEMPT without a reset"):
        Drain("odd", if_unconfirmed=True, reset_alone=True)
    for policy in ("auto", "reset", "target", "wait:3"):
        for vendor in ("LIO-ORG", "OTHER"):
            drain = resolve(policy, vendor, "x")
            assert drain.always or not drain.reset_alone


def test_a_reset_that_waits_for_the_end_of_a_session() -> None:
    """Given up by the kernel, and the session lost with it: tried again until it is back."""
    world = _in_flight("lio", 2)
    fault = Fault("dead-path")
    fault.opcode, fault.times = LOGICAL_UNIT_RESET, 49
    world.units[FIRST].add_fault(fault)
    world.evict(3, 2)
    assert [name for _, _, name in world.sent].count("LOGICAL UNIT RESET") == 50
    assert not _arrives_late(world)


def test_reset_that_fails_fails_the_eviction() -> None:
    world = _in_flight("lio", 2)

    def cut(name: str, command: str) -> None:
        if command == "LOGICAL UNIT RESET":
            world.units[name].add_fault(Fault("dead-path"))

    with pytest.raises(CommandFailed, match="LOGICAL UNIT RESET failed"):
        world.finish(world.evicting(3, 2), cut)


def test_the_reading_that_counts_is_taken_after_the_reset() -> None:
    """Rule 1: after the last command."""
    world = _in_flight("lio", 2)
    world.evict(3, 2)
    names = [name for _, _, name in world.sent]
    assert names.index("LOGICAL UNIT RESET") > names.index("PREEMPT")
    assert names[-1] == "READ FULL STATUS"


@pytest.mark.parametrize("text", ["auto", "target", "reset", "wait:1", "wait:3600"])
def test_policies(text: str) -> None:
    assert check_policy(text) == text


@pytest.mark.parametrize(
    "text", ["", "Auto", "wait", "wait:", "wait:0", "wait:3601", "wait:-1", "wait:1.5", "wait:x"]
)
def test_bad_policies(text: str) -> None:
    with pytest.raises(InvalidInput, match="expected auto, target, reset, or wait:SECONDS"):
        check_policy(text)


def test_quirk_table() -> None:
    assert resolve("auto", "LIO-ORG", "naa.6aaa").always
    assert not resolve("auto", "LIO", "naa.6aaa").always
    assert not resolve("target", "LIO-ORG", "naa.6aaa").always
    assert resolve("wait:7", "LIO-ORG", "x").wait_seconds == 7


def test_lio_under_another_vendor_is_known_by_its_identity() -> None:
    assert resolve("auto", "ACME", "naa.60014051234567890abcdef012345678").always
    assert not resolve("auto", "ACME", "naa.60025041234567890abcdef012345678").always
