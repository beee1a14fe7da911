"""Actions as the agents run them: how they begin, go on without a command, and end."""

from __future__ import annotations

from functools import partial
from typing import Any

from fence_prbarrier.barrier.everywhere import (
    evict_everywhere,
    inspect_everywhere,
    join_everywhere,
)
from fence_prbarrier.barrier.memory import Memory
from fence_prbarrier.barrier.nexus import NexusName
from fence_prbarrier.barrier.unit import Unit
from fence_prbarrier.errors import BarrierError
from fence_prbarrier.simulator import codes
from fence_prbarrier.simulator.values import DEFAULT_ISID

from ..barrier.world import ends
from . import rules
from .automata import Automata
from .bounds import Act, Bounds
from .canon import canonical
from .rules import SLIPPED, UNCOUNTED, Ghost, Return, Sender, Violations
from .state import Running, Slot, State, Table, node_of
from .units import FOREIGN, Units

CLOCK = 1_790_000_000
VENDORS = {"lio": "LIO-ORG"}


class Actions:
    """The tables of one exploration, and its agents."""

    def __init__(self, bounds: Bounds, merge: bool = True) -> None:
        self.bounds = bounds
        self.automata = Automata(merge)
        self.units = Units(tuple((profile, bounds.keeps_aptpl) for profile in bounds.profiles))
        self.slots, self.ghosts, self.wires, self.facts = Table(), Table(), Table(), Table()
        self.memories: list[Memory] = []
        self._memory_of: dict[Any, int] = {}
        self.nodes = bounds.nodes
        self.names = [f"naa.6000{index}" for index in range(len(bounds.profiles))]
        self.acts_ended: dict[str, int] = {}

    def _furnished(self, index: int) -> int:
        """A LU as it is found: bare, or with what a stranger has left there."""
        number = self.units.bare(index)
        if self.bounds.stranger:
            unit = self.units.thaw(number)
            nexus, key = self.units.nexus(FOREIGN, 0), self.bounds.stranger.to_bytes(8, "big")
            unit.command(nexus, _reserve_out(codes.REGISTER), bytes(8) + key + bytes(8))
            if self.bounds.stranger_holds and index == len(self.names) - 1:
                kind = codes.WRITE_EXCLUSIVE_REGISTRANTS_ONLY
                unit.command(nexus, _reserve_out(codes.RESERVE, kind), key + bytes(16))
            number = self.units.freeze(unit, index)
        return number

    def _begin_all(self, state: State, slots: list[Slot], owners: list[int]) -> State:
        self.owners = owners
        numbers = []
        ghost = self.ghosts.values[state.ghost]
        for slot, node in zip(slots, owners):
            slot, ghost, _ = self._next_act(state, node, slot, ghost)
            numbers.append(self.slots.number(slot))
        return state._replace(slots=tuple(numbers), ghost=self.ghosts.number(ghost))

    def _memory(self, memory: Memory) -> int:
        number = self._memory_of.setdefault(canonical(memory), len(self.memories))
        if number == len(self.memories):
            self.memories.append(memory)
        return number

    # --- Actions begin and end ---

    def described(self, node: int, act: Act) -> list[Unit]:
        """The LUs as the node's dispatcher would describe them."""
        paths = act.paths or self.bounds.paths
        name = f"iqn.2003-08.example:n{node},i,0x{DEFAULT_ISID}"
        nexuses = tuple(NexusName(name, path + 1) for path in range(paths))
        return [
            Unit(
                name,
                ends(paths, name),
                VENDORS.get(profile, "OTHER"),
                names=nexuses if self.bounds.named else (),
            )
            for name, profile in zip(self.names, self.bounds.profiles)
        ]

    def _made(self, node: int, act: Act, memory: Memory, boot: int) -> Any:
        units = self.described(node, act)
        if act.kind == "off":
            return evict_everywhere(units, memory, act.victim, self.bounds.drain)
        if act.kind == "status":
            return inspect_everywhere(units)
        now = CLOCK + boot * self.bounds.clock_step
        return join_everywhere(units, memory, "auto", self.bounds.rejoin, now, act.refresh)

    def _next_act(
        self, state: State, node: int, slot: Slot, ghost: Ghost, now: bool = False
    ) -> tuple[Slot, Ghost, Violations]:
        """Begin what is to be done next; what ends without a command has ended then.

        Where a node has one agent nothing but its end can come between the end of an
        action and the beginning of the next: what it begins with is that node's own.
        """
        found: Violations = []
        alone = self.owners.count(node) == 1
        while slot.running is None and slot.todo and (alone or now):
            now = False
            act, *rest = slot.todo
            boot, number = state.nodes[self.nodes.index(node)]
            memory = self.memories[number]
            made = partial(self._made, node, act, memory, boot)
            plan = self.automata.start((node, act, number, boot), made)
            jobs = tuple(job.number for job in plan.jobs.values())
            unread = (-1,) * len(self.names)
            running = Running(act, plan.number, jobs, unread, key=int(memory.key or 0))
            slot = Slot(tuple(rest), running, slot.done)
            slot, ghost, more = self._go_on(state, node, slot, ghost)
            found += more
        return slot, ghost, found

    def _go_on(
        self, state: State, node: int, slot: Slot, ghost: Ghost
    ) -> tuple[Slot, Ghost, Violations]:
        """Let the plan go on while it has nothing to wait for."""
        running = slot.running
        if running is None:
            return slot, ghost, []
        plan = self.automata.plans[running.plan]
        while plan.end < 0 and plan.remember is None:
            jobs = [self.automata.jobs[number] for number in running.jobs]
            if any(job.end < 0 for job in jobs):
                return slot._replace(running=running), ghost, []
            plan = self.automata.after(plan, tuple((job.name, job.end) for job in jobs))
            fresh = tuple(job.number for job in plan.jobs.values())
            running = running._replace(plan=plan.number, jobs=fresh)
        slot = slot._replace(running=running)
        if plan.end < 0:
            return slot, ghost, []
        return self._finish(state, node, slot, running, plan.end, ghost)

    def _finish(
        self, state: State, node: int, slot: Slot, running: Running, end: int, ghost: Ghost
    ) -> tuple[Slot, Ghost, Violations]:
        result = self.automata.results[end]
        kind = running.act.kind
        word = "ok"
        if isinstance(result, BarrierError):
            errors = {type(each).__name__ for each in getattr(result, "errors", (result,))}
            word = "+".join(sorted(errors))
        found: Violations = []
        if word == "ok":
            sender = self._sender(state, node, running)
            seen = tuple(None if each < 0 else self.facts.values[each] for each in running.seen)
            if kind == "off":
                found = rules.check_off(sender, ghost, seen)
                if self.bounds.never:
                    found.append(("target", "off succeeded on a target that does not keep it"))
                ghost = self._ended(state, ghost, running)
            elif kind == "on":
                paths = [
                    set(range(running.act.paths or self.bounds.paths)) - set(result[name].unread)
                    for name in self.names
                ]
                allowed = self.bounds.rejoin == "allow"
                found = rules.check_on(sender, ghost, seen, paths, allowed)
                ghost = ghost._replace(joined=ghost.joined | {sender.key})
            else:
                found = rules.check_status([result[name] for name in self.names], seen)
        words = f"{kind} {running.act.victim}".rstrip(" 0") if kind == "off" else kind
        ended = f"n{node} {words}: {word}"
        self.acts_ended[ended] = self.acts_ended.get(ended, 0) + 1
        return Slot(slot.todo, None, (*slot.done, ended)), ghost, found

    def _ended(self, state: State, ghost: Ghost, running: Running) -> Ghost:
        """Its lives have ended.  One that has been registered since its LU was read is back."""
        lives = running.named | running.older
        boots = frozenset((node_of(key), boot) for key, boot in ghost.used if key in lives)
        back = set()
        for number, (lu, seen) in enumerate(zip(state.lus, running.seen)):
            frozen = self.units.states[lu]
            if running.power_lost and not frozen.count(running.key):
                return ghost  # it has forgotten since it was read
            writing = {(key, number, nexus) for nexus, key, _, _ in frozen.tasks if key in lives}
            bearing = {(key, number, nexus) for nexus, key in frozen.registrations if key in lives}
            if seen >= 0 and frozen.generation != self.facts.values[seen][3]:
                back |= {Return(*each, SLIPPED) for each in writing | bearing}
            elif running.power_lost:
                back |= {Return(*each, UNCOUNTED) for each in writing}
        return ghost._replace(
            ended=ghost.ended | lives,
            ended_by=ghost.ended_by | {(running.key, life) for life in lives},
            ended_boots=ghost.ended_boots | boots,
            returned=ghost.returned | back,
        )

    def _sender(self, state: State, node: int, running: Running) -> Sender:
        boot, number = state.nodes[self.nodes.index(node)]
        key = running.key
        if running.act.kind == "on":
            key = int(self.memories[number].key or 0)
        return Sender(
            running.act.kind,
            node,
            boot,
            key,
            running.act.victim,
            running.named,
            running.was_ended,
        )


def _reserve_out(action: int, kind: int = 0) -> bytes:
    return bytes((codes.PERSISTENT_RESERVE_OUT, action, kind, 0, 0, 0, 0, 0, 24, 0))
