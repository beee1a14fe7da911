"""Breadth first through all states, or along random courses; what was seen on the way."""

from __future__ import annotations

import random
import time
from collections import Counter

from .automata import Endless
from .bounds import Bounds
from .checker import Checker
from .rules import MAX_COMMANDS, Violations
from .state import Label, State
from .words import text_of, transcript

MAX_MOVES_OF_A_WALK = 2000
# Of a walk's moves so many are faults, while any are left.
FAULT_SHARE = 0.15


class Found:
    """What an exploration saw.  ``course``: the moves to the first violation."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.states = 0
        self.steps = 0
        self.walks = 0
        # How the actions ended that ended side by side, where nothing could happen any more.
        self.ends: Counter[tuple[str, ...]] = Counter()
        # How each action ended.
        self.acts: Counter[str] = Counter()
        # In how many sets of what the checker knows a life was back: landed or slipped.
        self.returned: Counter[str] = Counter()
        self.commands = 0
        self.whole = True
        self.seconds = 0.0
        self.violations: Violations = []
        self.course: list[str] = []

    @property
    def figure(self) -> str:
        """For people."""
        if self.walks:
            text = f"{self.walks:,} walks, {self.states:,} states, {self.steps:,} steps"
        else:
            text = f"{self.states:,} states, {self.steps:,} steps"
        return text.replace(",", " ").replace("  ", ", ") + ("" if self.whole else ", cut off")

    @property
    def told(self) -> str:
        """A violation with its transcript; empty if there is none."""
        if not self.violations:
            return ""
        checker = Checker(self.bounds)
        lines = [f"{self.bounds.name}: {rule}: {what}" for rule, what in self.violations]
        return "\n".join([*lines, *transcript(checker, self.course)])


def explore(
    bounds: Bounds, merge: bool = True, max_states: int = 3_000_000, seconds: float = 1e9
) -> Found:
    """All states within the bounds, or as many as the limits allow."""
    began = time.monotonic()
    found, checker = Found(bounds), Checker(bounds, merge)
    first, found.violations = checker.initial()
    states: list[State] = [first]
    number_of = {first: 0}
    parents: list[tuple[int, Label]] = [(-1, ())]
    position = 0
    try:
        while position < len(states) and not found.violations:
            if len(states) > max_states or time.monotonic() - began > seconds:
                found.whole = False
                break
            found.violations, last = _expand(checker, found, states, number_of, parents, position)
            if found.violations:
                course = [*_course(parents, position), *last]
                found.course = [text_of(checker, label) for label in course]
            position += 1
        _sum_up(found, checker)
    except Endless as error:
        found.violations = [("rule 10", str(error))]
        found.course = [text_of(checker, label) for label in _course(parents, position)]
    found.states = len(states)
    found.seconds = time.monotonic() - began
    return found


def _expand(
    checker: Checker,
    found: Found,
    states: list[State],
    number_of: dict[State, int],
    parents: list[tuple[int, Label]],
    position: int,
) -> tuple[Violations, list[Label]]:
    """Every move from one state; the first violation, and the move that led to it."""
    state = states[position]
    ended = True
    for label, after, violations in checker.moves(state):
        ended = False
        found.steps += 1
        number = number_of.setdefault(after, len(states))
        if number == len(states):
            states.append(after)
            parents.append((position, label))
            violations = violations + checker.check(after)
        if violations:
            return violations, [label]
    if ended:
        found.ends[checker.results(state)] += 1
        return checker.check_end(state), []
    return [], []


def _course(parents: list[tuple[int, Label]], position: int) -> list[Label]:
    course = []
    while position > 0:
        position, label = parents[position]
        course.append(label)
    return course[::-1]


def walk(bounds: Bounds, seed: int, seconds: float, walks: int = 1 << 60) -> Found:
    """Random courses to their ends, for so long or so many."""
    began = time.monotonic()
    found, checker = Found(bounds), Checker(bounds)
    chance = random.Random(seed)
    first, found.violations = checker.initial()
    seen: set[State] = {first}
    try:
        while found.walks < walks and time.monotonic() - began < seconds and not found.violations:
            found.walks += 1
            _one_walk(checker, found, first, chance, seen)
        _sum_up(found, checker)
    except Endless as error:
        found.violations = [("rule 10", str(error))]
    found.states = len(seen)
    found.seconds = time.monotonic() - began
    return found


def _one_walk(
    checker: Checker, found: Found, state: State, chance: random.Random, seen: set[State]
) -> None:
    course: list[str] = []
    for _ in range(MAX_MOVES_OF_A_WALK):
        move = checker.random_move(state, chance, FAULT_SHARE)
        if move is None:
            found.ends[checker.results(state)] += 1
            found.violations, found.course = checker.check_end(state), course
            return
        label, state, violations = move
        found.steps += 1
        course.append(text_of(checker, label))
        seen.add(state)
        found.violations = violations + checker.check(state)
        if found.violations:
            found.course = course
            return
    found.violations, found.course = [("rule 10", "a walk that does not end")], course


def _sum_up(found: Found, checker: Checker) -> None:
    found.acts.update(checker.acts_ended)
    for ghost in checker.ghosts.values:
        for each in ghost.returned:
            found.returned[each.how] += 1
    found.commands = checker.automata.longest()
    if found.commands > MAX_COMMANDS and not found.violations:
        found.violations = [("rule 10", f"an action sends {found.commands} commands to one LU")]
