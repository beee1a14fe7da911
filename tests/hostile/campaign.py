"""Many cases of one kind, in an order made by a seed, and what came of them."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from . import errors, interludes, signals
from .scene import Act, Scene
from .trap import Trap
from .walk import ERROR_CALLS, SIGNAL_CALLS, Case, Finding, counts, counts_all


class Blow(Protocol):
    """A case: at which step of which action something happens."""

    @property
    def act(self) -> Act: ...

    @property
    def at(self) -> int: ...

    @property
    def memory(self) -> bool: ...


B = TypeVar("B", bound=Blow)


class Kind(NamedTuple):
    """One kind of disturbance."""

    name: str
    calls: tuple[str, ...]
    counts: Callable[[str, str, str], bool]
    every: Callable[[Scene, Trap], Sequence[Blow]]
    strike: Callable[..., tuple[Case, list[Finding]]]


KINDS = (
    Kind("signals", SIGNAL_CALLS, counts, signals.blows, signals.strike),
    Kind("interludes", SIGNAL_CALLS, counts, interludes.stops, interludes.strike),
    Kind("errors", ERROR_CALLS, counts_all, errors.faults, errors.strike),
)


class Tally(NamedTuple):
    """What a campaign did."""

    kind: str
    steps: int
    actions: int
    cases: int
    struck: int
    ends: Counter[str]
    findings: list[Finding]

    def __str__(self) -> str:
        ends = ", ".join(f"{end}: {number}" for end, number in self.ends.most_common())
        return (
            f"{self.struck} of {self.cases} cases at {self.steps} steps of {self.actions} actions"
            f" ({ends}); {len(self.findings)} findings"
        )


def in_turn(every: Sequence[B], seed: int) -> list[B]:
    """All of them in an order made by ``seed``: an action each in turn, at its memory and not."""
    chance = random.Random(seed)
    groups: dict[tuple[str, bool], list[B]] = {}
    for blow in every:
        groups.setdefault((blow.act.name, blow.memory), []).append(blow)
    for group in groups.values():
        chance.shuffle(group)
    order = []
    while groups:
        for name in list(groups):
            order.append(groups[name].pop())
            if not groups[name]:
                del groups[name]
    return order


def run(
    kind: Kind,
    scene: Scene,
    seed: int,
    cases: int | None = None,
    seconds: float | None = None,
    hear: Callable[[str], None] = lambda text: None,
    act: str | None = None,
) -> Tally:
    """So many cases, or as many as fit into so many seconds, or all."""
    trap = Trap(kind.calls, kind.counts)
    every = [blow for blow in kind.every(scene, trap) if act in (None, blow.act.name)]
    steps = len({(blow.act.name, blow.at) for blow in every})
    tally = Tally(kind.name, steps, len({blow.act.name for blow in every}), len(every), 0,
                  Counter(), [])  # fmt: skip
    hear(f"{kind.name}: {len(every)} cases at {steps} steps, seed {seed}")
    end = None if seconds is None else time.monotonic() + seconds
    for blow in in_turn(every, seed)[:cases]:
        if end is not None and time.monotonic() > end:
            break
        case, findings = kind.strike(scene, trap, blow)
        struck = tally.struck + (case.step is not None)
        tally = tally._replace(struck=struck)
        tally.ends[_end(case.ended.code)] += 1
        for finding in findings:
            hear(f"FOUND {finding}")
        tally.findings.extend(findings)
    hear(f"{kind.name}: {tally}")
    return tally


def _end(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit {code}"
