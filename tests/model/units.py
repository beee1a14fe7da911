"""The simulated LUs as automata: frozen states by number, and what a command makes of them.

The simulator itself runs each command, once for each state of a LU that it meets there.

Writes are *saturated*: at every moment every I_T nexus through which a node could have a
WRITE accepted has one in flight, entered by LogicalUnit.submit() and never completed.
Nothing but an abort looks at such a task, so a state with all of them stands for every
set of them, issued at whatever moment; one that an eviction has left in the device could be
completed later, and one that is accepted later has been sent later.
"""

from __future__ import annotations

from typing import Any

from fence_prbarrier.scsi.command import LogicalUnitReset
from fence_prbarrier.scsi.outcome import Completion, Outcome, classify
from fence_prbarrier.simulator import codes
from fence_prbarrier.simulator.faults import Fault
from fence_prbarrier.simulator.profiles import ABORT_STAMPED
from fence_prbarrier.simulator.reservations import Registration
from fence_prbarrier.simulator.unit import LogicalUnit, Task
from fence_prbarrier.simulator.values import Call, Nexus, Response

from ..barrier.world import WRITE_10_ONE_BLOCK

FOREIGN = 0  # the node number of a stranger
HOST_NO_CONNECT = 0x01

# Faults that the simulator's own model strikes a single command with.
STRIKES = {
    "lost-command": Fault("lost-command"),
    "lost-reply": Fault("lost-reply"),
    "busy": Fault("busy"),
    "conflict": Fault("conflict"),
    "attention": Fault("sense", (0x6, 0x29, 0x00)),
    "dead-path": Fault("dead-path"),
}


class Frozen:
    """One state of one LU: what it holds, in a form that can be compared."""

    __slots__ = (
        "form",
        "kind",
        "registrations",
        "holder",
        "type",
        "generation",
        "aptpl",
        "attentions",
        "tasks",
        "facts",
    )

    def __init__(self, form: tuple[Any, ...]) -> None:
        self.form = form
        (
            self.kind,
            self.registrations,
            self.holder,
            self.type,
            self.generation,
            self.aptpl,
            self.attentions,
            self.tasks,
        ) = form
        # What PERSISTENT RESERVE IN tells of it.
        self.facts = (self.registrations, self.holder, self.type, self.generation)

    def key_set(self) -> set[int]:
        return {key for _, key in self.registrations}

    def count(self, key: int) -> int:
        return sum(each == key for _, each in self.registrations)

    def key_of(self, nexus: tuple[int, int]) -> int:
        return next((key for each, key in self.registrations if each == nexus), 0)

    @property
    def holder_key(self) -> int:
        return self.registrations[self.holder][1] if self.holder >= 0 else 0


class Units:
    """The automaton of all LUs: ``kinds`` are pairs of profile and whether it can keep APTPL."""

    def __init__(self, kinds: tuple[tuple[str, bool], ...]) -> None:
        self.kinds = kinds
        self.states: list[Frozen] = []
        self.responses: list[Response] = []
        self._state_of: dict[tuple[Any, ...], int] = {}
        self._response_of: dict[Any, int] = {}
        self._nexuses: dict[tuple[int, int], Nexus] = {}
        self._names: dict[Nexus, tuple[int, int]] = {}
        self._runs: dict[Any, tuple[int, int]] = {}
        self._saturated: dict[Any, int] = {}
        self._cycled: dict[int, int] = {}
        self.lost = self._response(Response(host_status=HOST_NO_CONNECT))

    def nexus(self, node: int, path: int) -> Nexus:
        found = self._nexuses.get((node, path))
        if found is None:
            found = Nexus(f"iqn.2003-08.example:n{node}", port=path + 1)
            self._nexuses[node, path] = found
            self._names[found] = (node, path)
        return found

    # --- Frozen and thawed ---

    def _new(self, kind: int) -> LogicalUnit:
        profile, aptpl = self.kinds[kind]
        unit = LogicalUnit(profile, serial=f"naa6000{kind}")
        unit.abilities.aptpl = unit.abilities.aptpl and aptpl
        return unit

    def bare(self, kind: int) -> int:
        return self.freeze(self._new(kind), kind)

    def freeze(self, unit: LogicalUnit, kind: int) -> int:
        state = unit.reservations
        names = self._names
        stamped = unit.profile.abort == ABORT_STAMPED
        if unit.faults:
            raise ValueError("a fault that did not strike")
        form = (
            kind,
            tuple((names[each.nexus], each.key) for each in state.registrations),
            -1 if state.holder is None else state.registrations.index(state.holder),
            state.type,
            state.generation,
            state.aptpl,
            tuple(
                sorted((names[each], tuple(pending)) for each, pending in unit.attentions.items())
            ),
            tuple(
                sorted(
                    (names[task.call.nexus], *_writer(task), task.holder_key if stamped else 0)
                    for task in unit.tasks.values()
                )
            ),
        )
        number = self._state_of.setdefault(form, len(self.states))
        if number == len(self.states):
            self.states.append(Frozen(form))
        return number

    def thaw(self, number: int) -> LogicalUnit:
        """A LogicalUnit in that state."""
        frozen = self.states[number]
        unit = self._new(frozen.kind)
        state = unit.reservations
        state.registrations = [
            Registration(self.nexus(*nexus), key, False) for nexus, key in frozen.registrations
        ]
        state.holder = state.registrations[frozen.holder] if frozen.holder >= 0 else None
        state.type = frozen.type
        state.generation = frozen.generation
        state.aptpl = frozen.aptpl
        unit.attentions = {
            self.nexus(*nexus): list(pending) for nexus, pending in frozen.attentions
        }
        for nexus, key, boot, stamp in frozen.tasks:
            call = Call(self.nexus(*nexus), WRITE_10_ONE_BLOCK, _payload(key, boot))
            unit.tasks[unit.next_tag] = Task(unit.next_tag, call, stamp, None)
            unit.next_tag += 1
        return unit

    # --- What can happen to one ---

    def run(self, number: int, nexus: tuple[int, int], action: Any, fault: str) -> tuple[int, int]:
        """One command: the LU's next state, and the number of the response."""
        cdb = getattr(action, "cdb", b"")
        place = (number, nexus, cdb, getattr(action, "data_out", b""), fault)
        found = self._runs.get(place)
        if found is None:
            unit = self.thaw(number)
            if fault:
                unit.add_fault(_copy(STRIKES[fault]))
            where = self.nexus(*nexus)
            if isinstance(action, LogicalUnitReset):
                response = unit.reset(where)
            else:
                response = unit.command(where, cdb, action.data_out, action.data_in_length)
            unit.faults = []
            after = self.freeze(unit, self.states[number].kind)
            found = self._runs[place] = (after, self._response(response))
        return found

    def _response(self, response: Response) -> int:
        form = (response.status, response.sense, response.data, response.host_status)
        number = self._response_of.setdefault(form, len(self.responses))
        if number == len(self.responses):
            self.responses.append(response)
        return number

    def outcome(self, action: Any, response: int) -> Outcome:
        """What the shipped code makes of a response."""
        told = self.responses[response]
        completion = Completion(told.status, told.sense, told.data, host=told.host_status)
        return classify(action, completion)

    def cycle(self, number: int) -> int:
        """Loss of power."""
        if number not in self._cycled:
            unit = self.thaw(number)
            unit.power_cycle()
            self._cycled[number] = self.freeze(unit, self.states[number].kind)
        return self._cycled[number]

    def by_hand(self, number: int, action: int) -> int:
        """A person sends CLEAR or RELEASE from the host that holds the reservation."""
        unit, frozen = self.thaw(number), self.states[number]
        nexus, key = frozen.registrations[frozen.holder]
        unit.attentions[self.nexus(*nexus)] = []
        cdb = bytes((codes.PERSISTENT_RESERVE_OUT, action, frozen.type, 0, 0, 0, 0, 0, 24, 0))
        response = unit.command(self.nexus(*nexus), cdb, key.to_bytes(8, "big") + bytes(16))
        if response.status:
            raise ValueError(f"by hand: {response!r}")
        return self.freeze(unit, frozen.kind)

    def swallow(self, number: int, nexus: tuple[int, int]) -> int:
        """A command of the nexus's own host, which asks about nothing, meets what is pending."""
        unit = self.thaw(number)
        unit.command(self.nexus(*nexus), bytes(6))
        return self.freeze(unit, self.states[number].kind)

    def saturate(self, number: int, writers: tuple[tuple[int, int, int, bool], ...]) -> int:
        """With a write in flight on each nexus of the writers that has it accepted.

        A writer: its node, how many paths, its boot, and whether it writes where its
        nexus is not registered.
        """
        place = (number, writers)
        found = self._saturated.get(place)
        if found is None:
            unit = self.thaw(number)
            frozen = self.states[number]
            there = set(frozen.tasks)
            for node, paths, boot, anywhere in writers:
                for path in range(paths):
                    key = frozen.key_of((node, path))
                    if key or anywhere:
                        self._enter(unit, (node, path), key, boot, there)
            found = self._saturated[place] = self.freeze(unit, frozen.kind)
        return found

    def _enter(
        self, unit: LogicalUnit, nexus: tuple[int, int], key: int, boot: int, there: set[Any]
    ) -> None:
        where = self.nexus(*nexus)
        # A unit attention is met by the command before: the next one is accepted or refused.
        pending = unit.attentions.pop(where, None)
        tag = unit.submit(where, WRITE_10_ONE_BLOCK, _payload(key, boot))
        unit.attentions.pop(where)
        if pending is not None:
            unit.attentions[where] = pending
        task = unit.tasks[tag]
        stamp = task.holder_key if unit.profile.abort == ABORT_STAMPED else 0
        if task.verdict is not None or (nexus, key, boot, stamp) in there:
            del unit.tasks[tag]


def _copy(fault: Fault) -> Fault:
    fresh = Fault(fault.kind, fault.numbers)
    fresh.times = 1
    return fresh


def _payload(key: int, boot: int) -> bytes:
    """The block that a write bears: signed by its writer's key and boot."""
    return (key.to_bytes(8, "big") + boot.to_bytes(2, "big")).ljust(512, b"\xff")


def _writer(task: Task) -> tuple[int, int]:
    data = task.call.data_out
    return int.from_bytes(data[:8], "big"), int.from_bytes(data[8:10], "big")
