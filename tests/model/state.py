"""What a state of everything is made of: numbers that stand for values in tables."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..barrier.world import TAG
from .bounds import Act
from .rules import Sender

Label = tuple[Any, ...]


class State(NamedTuple):
    """Numbers only, so that states are small and quick to compare."""

    lus: tuple[int, ...]
    nodes: tuple[tuple[int, int], ...]  # boot, memory
    slots: tuple[int, ...]
    wire: tuple[int, ...]
    dead: tuple[tuple[int, int, int], ...]  # node, LU, path
    budget: int
    reboots: tuple[int, ...]
    ghost: int


class Running(NamedTuple):
    """An action at work.

    ``seen``: of each LU the facts read since this action's last command that changes
    something.  ``named``: the victim's lives that it read before any such command;
    ``older``: those whose on had succeeded before its first command.  ``was_ended``: its own
    life had been ended by then.  ``begun``: that has been sent.  ``power_lost``: a LU lost its
    power meanwhile, so that PRGENERATION began anew.
    """

    act: Act
    plan: int
    jobs: tuple[int, ...]
    seen: tuple[int, ...]
    named: frozenset[int] = frozenset()
    older: frozenset[int] = frozenset()
    looking: bool = True
    key: int = 0
    was_ended: bool = False
    power_lost: bool = False
    begun: bool = False


class Slot(NamedTuple):
    """What an agent has still to do, does, and how its actions ended."""

    todo: tuple[Act, ...]
    running: Running | None
    done: tuple[str, ...]


class Wire(NamedTuple):
    """A command on its way that nobody waits for."""

    sender: Sender
    lu: int
    path: int
    cdb: bytes
    data_out: bytes


class Late:
    """A delayed command as a transport would carry it; an empty CDB is a LU reset."""

    def __init__(self, wire: Wire) -> None:
        self.cdb = wire.cdb
        self.data_out = wire.data_out
        self.data_in_length = 0


class Table:
    """Values by number, equal ones once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def number(self, value: Any) -> int:
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


def node_of(key: int) -> int:
    """The node of this cluster that a key is of, 0 for a stranger's."""
    return key >> 32 & 0xFFFF if key >> 48 == TAG else 0


def with_job(slot: Slot, place: int, number: int) -> Slot:
    """The same, but that one of its jobs stands there now."""
    running = slot.running
    if running is None:
        raise ValueError("nothing runs here")
    jobs = (*running.jobs[:place], number, *running.jobs[place + 1 :])
    return slot._replace(running=running._replace(jobs=jobs))
