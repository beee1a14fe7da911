"""One fault at every step of every action: a success is never a false one."""

from __future__ import annotations

import pytest

from fence_prbarrier.errors import BarrierError
from fence_prbarrier.simulator.faults import Fault

from .world import TAG, World

FAULTS = [
    ("lost-command", ()),
    ("lost-reply", ()),
    ("busy", ()),
    ("task-set-full", ()),
    ("conflict", ()),
    ("ua", (0x29, 0x00)),
    ("ua", (0x2A, 0x03)),
    ("ua", (0x2A, 0x05)),
    ("sense", (0x0B, 0x00, 0x00)),
    ("sense", (0x03, 0x11, 0x00)),
    ("sense", (0x05, 0x20, 0x00)),
    ("truncated", (4,)),
    ("truncated", (20,)),
    ("dead-path", ()),
]
IDS = [f"{kind}-{'-'.join(f'{n:02x}' for n in numbers)}" for kind, numbers in FAULTS]
MAX_STEPS = 40


def _strike(world: World, steps: object, at: int, kind: str, numbers: tuple[int, ...]) -> object:
    """Run steps with a fault on the command number ``at``; (result or error, struck)."""
    count = 0
    struck = []

    def before(name: str, command: str) -> None:
        nonlocal count
        if count == at:
            world.units[name].add_fault(Fault(kind, numbers))
            struck.append((name, command))
        count += 1

    try:
        return world.finish(steps, before), struck  # type: ignore[arg-type]
    except BarrierError as error:
        return error, struck


@pytest.mark.parametrize("profile", ["spec", "lio"])
@pytest.mark.parametrize("kind, numbers", FAULTS, ids=IDS)
def test_off_never_lies(profile: str, kind: str, numbers: tuple[int, ...]) -> None:
    """Rules 1 and 2: success means that the victim is off every LU."""
    successes = steps = 0
    for at in range(MAX_STEPS):
        world = World(profile, profile)
        for node in (1, 2, 3):
            world.join(node)
        result, struck = _strike(world, world.evicting(3, 2), at, kind, numbers)  # type: ignore[misc]
        for unit in world.units.values():
            unit.faults.clear()
        if not struck:
            break
        steps += 1
        assert all(world.look(name).count(world.key(3)) == 1 for name in world.units), struck
        if isinstance(result, BarrierError):
            continue
        successes += 1
        for name in world.units:
            assert not world.look(name).lives(TAG, 2), (struck, name)
            assert not world.can_write(2, name)
    assert steps >= 6
    if kind in ("busy", "task-set-full", "ua"):
        assert successes == steps, "a fault that only asks for patience must not fail a fence"


@pytest.mark.parametrize("kind, numbers", FAULTS, ids=IDS)
def test_on_never_lies_and_recovers(kind: str, numbers: tuple[int, ...]) -> None:
    """After any fault, success means joined; and the next ``on`` without a fault succeeds."""
    for at in range(MAX_STEPS):
        world = World("spec", "spec")
        world.join(1)
        result, struck = _strike(world, world.joining(2), at, kind, numbers)  # type: ignore[misc]
        for unit in world.units.values():
            unit.faults.clear()
        if not struck:
            break
        if not isinstance(result, BarrierError):
            assert all(world.look(name).count(world.key(2)) == 1 for name in world.units), struck
        world.join(2)
        assert all(world.can_write(2, name) for name in world.units), struck
        assert world.look("naa.60000").keys() == {world.key(1), world.key(2)}


@pytest.mark.parametrize("at", range(12))
def test_power_loss_at_every_step_of_off(at: int) -> None:
    """With APTPL the barrier outlives it; without, nothing that is gone is called off."""
    for aptpl in (True, False):
        world = World("spec", "spec")
        for unit in world.units.values():
            unit.abilities.aptpl = aptpl
        for node in (1, 2, 3):
            world.join(node)
        count = 0

        def before(name: str, command: str) -> None:
            nonlocal count
            if count == at:
                world.units[name].power_cycle()  # noqa: B023
            count += 1

        try:
            world.finish(world.evicting(1, 2), before)
        except BarrierError:
            if aptpl:
                raise
            continue
        for name in world.units:
            assert not world.look(name).lives(TAG, 2)
            assert not world.can_write(2, name)


def test_reservation_gone_after_power_loss_is_no_off() -> None:
    """A LU without registrations is not one from which the victim has been fenced."""
    world = World("spec")
    world.units["naa.60000"].abilities.aptpl = False
    for node in (1, 2):
        world.join(node)
    world.units["naa.60000"].power_cycle()
    with pytest.raises(BarrierError, match="is not registered"):
        world.evict(1, 2)
