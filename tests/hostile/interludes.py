"""An action is stopped at a step, other nodes act meanwhile, and it goes on.

What a frozen process does when it wakes is what a delayed one does: the world
has moved, and nothing that it says or sends may undo that.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from typing import NamedTuple

from fence_prbarrier.key import Key

from ..agent.resource import EVICTED
from .scene import ACTS, EVICT, Act, Scene
from .trap import Ended, Step, Trap
from .walk import STOP, Case, Finding, disturb, is_of_memory, send, steps_of

# For each of two LUs: who it is, of what make, and which keys it bears.
OPENED_TO_LOOK = 6


class Interlude(NamedTuple):
    """What happens meanwhile, and which keys must be where ever after."""

    name: str
    play: Callable[[Scene], tuple[set[Key], set[Key]]]


def _caller_evicted(scene: Scene) -> tuple[set[Key], set[Key]]:
    """n3 evicts n1: its lives are gone for good."""
    dead = scene.lives(1)
    off = scene.do("n3", "off", "n1")
    return (dead, set()) if off.code == 0 else (set(), set())


def _victim_back(scene: Scene) -> tuple[set[Key], set[Key]]:
    """n2 reboots and joins: its new life is nobody's to evict."""
    scene.reboot("n2")
    on = scene.do("n2", "on", "n2")
    memory = scene.memory(2)
    return (set(), {memory.key} if on.code == 0 and memory and memory.key else set())


CALLER_EVICTED = Interlude("n1 is evicted", _caller_evicted)
VICTIM_BACK = Interlude("n2 reboots and joins", _victim_back)


class Stop(NamedTuple):
    """One case to be run."""

    act: Act
    at: int
    interlude: Interlude
    memory: bool

    def __str__(self) -> str:
        return f"SIGSTOP to both, {self.interlude.name}, SIGCONT"


def stops(scene: Scene, trap: Trap) -> list[Stop]:
    """Every interlude at every step of the actions that it could mislead."""
    found = []
    for act in ACTS:
        evicting = act.action == EVICT
        if not (act.joins or evicting or act.action == "monitor") or act.code:
            continue
        steps, _ = steps_of(scene, act, trap)
        for step in steps:
            found.append(Stop(act, step.number, CALLER_EVICTED, is_of_memory(step)))
            if evicting:
                found.append(Stop(act, step.number, VICTIM_BACK, is_of_memory(step)))
    return found


def _is_free(scene: Scene) -> bool:
    """Whether no command is under way: a real LU would go on with it."""
    for path in scene.units:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
    return True


def strike(scene: Scene, trap: Trap, stop: Stop) -> tuple[Case, list[Finding]]:
    """Run one case; what is wrong after it."""
    dead: set[Key] = set()
    living: set[Key] = set()

    def play() -> None:
        if _is_free(scene):
            gone, there = stop.interlude.play(scene)
            dead.update(gone)
            living.update(there)

    case = disturb(scene, stop.act, trap, stop.at, send(STOP, "both", play))
    found = []
    if not case.ended.alone:
        found.append("a process of it went on and on")
    lives = scene.lives(1) | scene.lives(2)
    if back := dead & lives:
        found.append(f"evicted, and back: {back}")
    for unit in range(2) if _has_looked(case) else ():
        if gone := living - {Key(key) for key in scene.keys("n2", unit)}:
            found.append(f"LU {unit}: a new life was evicted: {gone}")
    if (dead or living) and _looked(case.later):
        found += _overtaken(scene, stop.act, case.ended)
    return case, [Finding(stop.act.name, str(stop), str(case.step), each) for each in found]


def _has_looked(case: Case) -> bool:
    """Whether it had read the keys of both LUs, and so which lives it is to end."""
    steps = [*case.earlier, *([case.step] if case.step else [])]
    return sum(_opens_a_lu(step) for step in steps) > OPENED_TO_LOOK


def _opens_a_lu(step: Step) -> bool:
    return step.call == "openat" and os.path.basename(step.what).startswith("lu")


def _looked(later: list[Step]) -> bool:
    """Whether it asked a LU again afterwards: if not, what it says was so when it looked."""
    return any(os.path.basename(step.what).startswith("lu") for step in later)


def _overtaken(scene: Scene, act: Act, ended: Ended) -> list[str]:
    if ended.code == EVICTED and act.face == "ocf":
        return []
    return [f"said, although overtaken: {each}" for each in act.falsehoods(scene, ended)]
