"""Courses that are kept: text files that a test replays, move by move.

# what it shows, in words
profiles: spec spec        one for each LU (default: spec)
paths: 2                   of each node to each LU (default: 1)
named: yes                 hosts know how the target names their nexuses
before: n1 on              what ran before; a line for each
agent: n1 off 2, on        what runs: a line for each agent, in their order
reboots: n2                a node that reboots; "agent: ... then on": what follows
faults: delayed hung       what may go wrong
budget: 1
outlives: yes              commands on their way outlive their sender's boot
break: off by any path     a break of breaks.py, put in first
violates: rule 9           what is broken in the end, "nothing" if nothing is
ends: n1 off 2: ok         how an action ended; a line for each that is asked for
back: landed               a life is back in the end, by a REGISTER that landed late
---
n1 LU0                     a move as a transcript tells it; what follows a colon is ignored
n1 until PREEMPT           the agent's moves up to such a command, which is not sent
n1 through PREEMPT         ... which is sent
n1 ends                    all that the agent has to do
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .bounds import STATUS, Act, Agent, Bounds, off, on
from .checker import Checker
from .rules import Violations
from .state import State
from .words import Lost, describe, legend, step, waiting

FOLDER = Path(__file__).parent / "scenarios"
MAX_MOVES = 500


class Scenario:
    """A file, read."""

    def __init__(self, path: Path) -> None:
        head, _, body = path.read_text(encoding="ascii").partition("\n---\n")
        fields: dict[str, list[str]] = {}
        for line in head.split("\n"):
            if line and not line.startswith("#"):
                name, _, value = line.partition(": ")
                fields.setdefault(name, []).append(value.strip())
        self.words = path.stem
        self.steps = [line.partition(":")[0].strip() for line in body.split("\n") if line.strip()]
        self.broken = fields.pop("break", [""])[0]
        self.violates = fields.pop("violates", ["nothing"])[0]
        self.ends = fields.pop("ends", [])
        self.back = fields.pop("back", [""])[0]
        self.bounds = _bounds(self.words, fields)


def _bounds(words: str, fields: dict[str, list[str]]) -> Bounds:
    def one(name: str, default: str) -> str:
        return fields.pop(name, [default])[0]

    before = []
    for line in fields.pop("before", []):
        node, _, act = line.partition(" ")
        before.append((_number(node), _act(act)))
    bounds = Bounds(
        words,
        tuple(_agent(line) for line in fields.pop("agent")),
        tuple(before),
        tuple(one("profiles", "spec").split()),
        int(one("paths", "1")),
        tuple((_number(each), 1) for each in one("reboots", "").split()),
        tuple(one("faults", "").split()),
        int(one("budget", "0")),
        named=one("named", "no") == "yes",
        wire_outlives_boot=one("outlives", "no") == "yes",
    )
    if fields:
        raise ValueError(f"{words}: what is {', '.join(fields)}?")
    return bounds


def _number(node: str) -> int:
    return int(node.removeprefix("n"))


def _act(text: str) -> Act:
    kind, *rest = text.split()
    if kind == "off":
        return off(int(rest[0]))
    if kind == "on":
        return on(int(rest[1])) if rest else on()
    if kind == "status":
        return STATUS
    raise ValueError(f"{text!r}: on [by N paths], off NODE, status")


def _agent(line: str) -> Agent:
    node, _, text = line.partition(" ")
    first, _, then = text.partition("then ")
    acts = tuple(_act(each) for each in first.split(",") if each.strip())
    return Agent(_number(node), acts, tuple(_act(each) for each in then.split(",") if each.strip()))


class Replay:
    """A course gone again: where it leads, and what it breaks on the way."""

    def __init__(self, scenario: Scenario) -> None:
        self.checker = Checker(scenario.bounds)
        self.lines: list[str] = []
        state, self.violations = self.checker.initial()
        for text in scenario.steps:
            state = self._go(state, text)
            if self.violations:
                break
        self.state = state
        if not self.violations and not any(self.checker.moves(state)):
            self.violations = self.checker.check_end(state)
        self.lines = legend(self.checker) + self.lines

    @property
    def ends(self) -> tuple[str, ...]:
        return self.checker.results(self.state)

    @property
    def back(self) -> set[str]:
        return {each.how for each in self.checker.ghosts.values[self.state.ghost].returned}

    def _go(self, state: State, text: str) -> State:
        name, _, rest = text.partition(" ")
        word, _, command = rest.partition(" ")
        if word not in ("until", "through", "ends"):
            return self._move(state, text)
        for _ in range(MAX_MOVES):
            moves = waiting(self.checker, state, name)
            found = [move for move, sent in moves if command and sent.startswith(command)]
            if found or not moves or self.violations:
                break
            state = self._move(state, moves[0][0])
        if command and not found and not self.violations:
            raise Lost(f"{text!r}: it never comes to that")
        return self._move(state, found[0]) if word == "through" and found else state

    def _move(self, state: State, text: str) -> State:
        label, after, found = step(self.checker, state, text)
        self.lines += describe(self.checker, label, state, after)
        self.violations: Violations = found + self.checker.check(after)
        self.lines += [f"VIOLATES {rule}: {what}" for rule, what in self.violations]
        return after


def scenarios() -> list[Path]:
    """All that are kept."""
    return sorted(FOLDER.glob("*.txt"))


__all__ = ["Any", "Replay", "Scenario", "scenarios"]
