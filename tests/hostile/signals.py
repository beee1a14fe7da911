"""Signals at the steps of every action: SIGKILL, SIGTERM, and SIGSTOP with or without events."""

from __future__ import annotations

from typing import NamedTuple

from .scene import ACTS, Act, Scene
from .trap import Trap
from .walk import (
    KILL,
    STOP,
    TERM,
    Case,
    Finding,
    complaints,
    disturb,
    is_of_memory,
    send,
    steps_of,
)

NAMES = {KILL: "SIGKILL", TERM: "SIGTERM", STOP: "SIGSTOP"}
# SIGTERM and SIGKILL differ where a process may clean up, which the worker never sees.
BLOWS = (
    (KILL, "agent"), (KILL, "worker"), (KILL, "both"), (TERM, "both"),
    (STOP, "agent"), (STOP, "worker"), (STOP, "both"),
)  # fmt: skip


class Blow(NamedTuple):
    """One case to be run."""

    act: Act
    at: int
    sent: int
    target: str
    memory: bool

    def __str__(self) -> str:
        return f"{NAMES[self.sent]} to {self.target}"


def blows(scene: Scene, trap: Trap) -> list[Blow]:
    """Every signal at every step of every action."""
    found = []
    for act in ACTS:
        steps, ended = steps_of(scene, act, trap)
        wrong = [] if ended.code == act.code else [f"exit {ended.code}: {ended.err}"]
        wrong += act.falsehoods(scene, ended)
        if wrong:
            raise AssertionError(f"{act.name}, undisturbed: {wrong}")
        found += [
            Blow(act, step.number, *blow, memory=is_of_memory(step))
            for step in steps
            for blow in BLOWS
        ]
    return found


def strike(scene: Scene, trap: Trap, blow: Blow) -> tuple[Case, list[Finding]]:
    """Run one case; what is wrong after it."""
    case = disturb(scene, blow.act, trap, blow.at, send(blow.sent, blow.target))
    by_signal = blow.sent if blow.target != "worker" and blow.sent != STOP else 0
    return case, [
        Finding(blow.act.name, str(blow), str(case.step), each)
        for each in complaints(scene, blow.act, case, by_signal)
    ]
