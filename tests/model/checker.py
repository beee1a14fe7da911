"""All states that the shipped plans and the simulated LUs can get into together.

A state is made of numbers: of each LU's frozen state, of the node that each running plan
and each of its jobs stands at, of what is remembered, of what is on its way.  A move is
one command, executed and answered at once, with or without a fault; one Remember; the
arrival of a command that was delayed; a reboot, a kill, a loss of power.  Every order
of moves is explored, the jobs of one Each on several LUs included.  What a plan does
between two commands is its own and seen by nobody, so it belongs to the move before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from fence_prbarrier.barrier.memory import Memory
from fence_prbarrier.scsi.command import LogicalUnitReset
from fence_prbarrier.simulator import codes

from ..barrier.world import TAG
from . import rules
from .blows import HAND, KILLED, Blows, Move
from .rules import Ghost, Violations
from .state import Running, Slot, State, Wire, node_of, with_job
from .units import STRIKES

READS = (codes.READ_KEYS, codes.READ_RESERVATION, codes.READ_FULL_STATUS)


class Checker(Blows):
    """The transition system of some bounds."""

    # --- The beginning ---

    def initial(self) -> tuple[State, Violations]:
        """After what ran before the exploration; its own violations."""
        lus = tuple(self._furnished(index) for index in range(len(self.names)))
        blank = tuple((1, self._memory(Memory(TAG, node))) for node in self.nodes)
        reboots = dict(self.bounds.reboots)
        quiet = State(lus, blank, (), (), (), 0, (), self.ghosts.number(Ghost()))
        for node, act in self.bounds.before:
            slots = [Slot((act,), None, ())]
            quiet = self._begin_all(quiet, slots, [node])
            quiet, found = self._run_alone(quiet, node)
            if found:
                return quiet, found
        state = quiet._replace(
            budget=self.bounds.budget, reboots=tuple(reboots.get(node, 0) for node in self.nodes)
        )
        slots = [Slot(agent.acts, None, ()) for agent in self.bounds.agents]
        self.owners = [agent.node for agent in self.bounds.agents]
        return self._saturated(self._begin_all(state, slots, self.owners)), []

    def _run_alone(self, state: State, node: int) -> tuple[State, Violations]:
        while True:
            for _, after, found in self.moves(state):
                if found:
                    return after, found
                state = after
                break
            else:
                ended = self.slots.values[state.slots[0]].done[-1]
                if not ended.endswith("ok"):
                    return state, [("bounds", f"before: node {node}: {ended}")]
                return state, []

    # --- Moves ---

    def moves(self, state: State) -> Iterator[Move]:
        """Every move that is possible in a state, and where it leads."""
        for _, make, *rest in self._options(state):
            yield make(state, *rest)

    def random_move(self, state: State, chance: random.Random, blows: float) -> Move | None:
        """One of them, a blow (a fault, a reboot, a late arrival) with that probability."""
        options = list(self._options(state))
        calm = [option for option in options if not option[0]]
        if calm and (len(calm) == len(options) or chance.random() > blows):
            _, make, *rest = chance.choice(calm)
        elif options:
            _, make, *rest = chance.choice([option for option in options if option[0]])
        else:
            return None
        move: Move = make(state, *rest)
        return move

    def _options(self, state: State) -> Iterator[tuple[Any, ...]]:
        """Each possible move: whether it is a blow, the method that makes it, its arguments."""
        may = self.bounds.faults if state.budget else ()
        for index, number in enumerate(state.slots):
            slot: Slot = self.slots.values[number]
            if slot.running is not None:
                yield from self._options_of(index, slot.running, may)
            elif slot.todo:
                yield False, self._begin, index
        for place, number in enumerate(state.wire):
            if not self._is_ruled_out(state, self.wires.values[number]):
                yield True, self._land, place
        for place, left in enumerate(state.reboots):
            if left:
                yield True, self._reboot, place
        if may:
            yield from self._blows_to(state, may)

    def _blows_to(self, state: State, may: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        for lu, number in enumerate(state.lus):
            if "power-loss" in may:
                yield True, self._lose_power, lu
            if self.units.states[number].holder >= 0:
                for word in may:
                    if word in HAND:
                        yield True, self._by_hand, lu, word
            if "swallowed" in may:
                for nexus, pending in self.units.states[number].attentions:
                    if pending and nexus[0] in self.owners:
                        yield True, self._swallow, lu, nexus

    def _options_of(
        self, index: int, running: Running, may: tuple[str, ...]
    ) -> Iterator[tuple[Any, ...]]:
        if self.automata.plans[running.plan].remember is not None:
            yield False, self._remember, index
        for place, number in enumerate(running.jobs):
            job = self.automata.jobs[number]
            if job.end < 0:
                yield False, self._command, index, place, ""
                for fault in self._faults(job, may):
                    yield True, self._command, index, place, fault
        if KILLED in may:
            yield True, self._kill, index

    def _faults(self, job: Any, may: tuple[str, ...]) -> Iterator[str]:
        action = job.request.action
        reset = isinstance(action, LogicalUnitReset)
        reads = not reset and action.cdb[0] != codes.PERSISTENT_RESERVE_OUT
        for fault in may:
            if fault in ("power-loss", "swallowed", KILLED, *HAND):
                continue
            if reads and fault in ("delayed", "duplicate", "repeated", "hung", "lost-reply"):
                continue  # late or twice, it changes nothing but a unit attention
            if reset and fault in ("busy", "conflict", "attention"):
                continue  # a task management function has no status
            yield fault

    def _command(self, state: State, index: int, place: int, fault: str) -> Move:
        slot: Slot = self.slots.values[state.slots[index]]
        running = slot.running
        if running is None:
            raise ValueError("nothing runs here")
        ghost: Ghost = self.ghosts.values[state.ghost]
        running = running if running.begun else _begun(running, ghost)
        job = self.automata.jobs[running.jobs[place]]
        node, lu = self.owners[index], self.names.index(job.name)
        action, path = job.request.action, job.request.path
        sender = self._sender(state, node, running)
        cdb, data_out = getattr(action, "cdb", b""), getattr(action, "data_out", b"")
        found = rules.check_sent(sender, cdb, data_out)
        wire, dead = state.wire, state.dead
        if fault in ("delayed", "duplicate", "hung"):
            number = self.wires.number(Wire(sender, lu, path, cdb, data_out))
            wire = tuple(sorted((*wire, number)))
        if fault == "dead-path":
            dead = tuple(sorted({*dead, (node, lu, path)}))
        label = ("command", index, lu, fault)
        state = state._replace(wire=wire, dead=dead, budget=state.budget - bool(fault))
        if fault == "hung":
            after, killed, more = self._killed(state, index, ghost)
            return label, self._put(after, index, killed, ghost), found + more
        if (node, lu, path) in dead:
            now, response = state.lus[lu], self.units.lost
        else:
            strike = "lost-command" if fault == "delayed" else fault if fault in STRIKES else ""
            for _ in range(2 if fault == "repeated" else 1):
                now, response, ghost, more = self._execute(
                    state.lus[lu], sender, ghost, (node, path), action, strike
                )
                found += more
                state = state._replace(lus=(*state.lus[:lu], now, *state.lus[lu + 1 :]))
        slot = slot._replace(running=self._seen(running, state, lu, cdb, now, response, place))
        job = self.automata.answered(job, response, lambda: self.units.outcome(action, response))
        slot = with_job(slot, place, job.number)
        slot, ghost, more = self._go_on(state, node, slot, ghost)
        slot, ghost, last = self._next_act(state, node, slot, ghost)
        return label, self._put(state, index, slot, ghost), found + more + last

    def _seen(
        self,
        running: Running,
        state: State,
        lu: int,
        cdb: bytes,
        now: int,
        response: int,
        place: int,
    ) -> Running:
        """What the action has read by now, told by what the LU really held."""
        if not cdb or cdb[0] == codes.PERSISTENT_RESERVE_OUT:
            return running._replace(seen=(-1,) * len(self.names), looking=False)
        told = self.units.responses[response]
        if told.status or told.host_status or cdb[0] != codes.PERSISTENT_RESERVE_IN:
            return running
        if cdb[1] & 0x1F not in READS:
            return running
        frozen = self.units.states[now]
        seen = list(running.seen)
        seen[lu] = self.facts.number(frozen.facts)
        named = running.named
        if running.looking and running.act.kind == "off":
            named |= {key for key in frozen.key_set() if node_of(key) == running.act.victim}
        return running._replace(seen=tuple(seen), named=named)

    def _begin(self, state: State, index: int) -> Move:
        """An agent begins its next action, with what its node remembers now."""
        slot, node = self.slots.values[state.slots[index]], self.owners[index]
        ghost = self.ghosts.values[state.ghost]
        slot, ghost, found = self._next_act(state, node, slot, ghost, now=True)
        return ("begin", index), self._put(state, index, slot, ghost), found

    def _remember(self, state: State, index: int) -> Move:
        slot: Slot = self.slots.values[state.slots[index]]
        running, node = slot.running, self.owners[index]
        if running is None:
            raise ValueError("nothing runs here")
        plan = self.automata.plans[running.plan]
        place = self.nodes.index(node)
        boot = state.nodes[place][0]
        nodes = list(state.nodes)
        nodes[place] = (boot, self._memory(plan.remember))
        ghost: Ghost = self.ghosts.values[state.ghost]
        key = int(plan.remember.key or 0)
        found: Violations = []
        if any(each == key and other != boot for each, other in ghost.used):
            found.append(("new life", f"the key {key:#018x} was another boot's"))
        ghost = ghost._replace(used=ghost.used | {(key, boot)})
        state = state._replace(nodes=tuple(nodes))
        plan = self.automata.after(plan, None)
        fresh = tuple(job.number for job in plan.jobs.values())
        slot = slot._replace(running=running._replace(plan=plan.number, jobs=fresh))
        slot, ghost, more = self._go_on(state, node, slot, ghost)
        slot, ghost, last = self._next_act(state, node, slot, ghost)
        return ("remember", index), self._put(state, index, slot, ghost), found + more + last

    # --- The end ---

    def results(self, state: State) -> tuple[str, ...]:
        """How every action ended."""
        return tuple(word for slot in state.slots for word in self.slots.values[slot].done)

    def check(self, state: State) -> Violations:
        """What must hold in every state."""
        ghost: Ghost = self.ghosts.values[state.ghost]
        if not ghost.ended:
            return []
        return rules.check_state([self.units.states[lu] for lu in state.lus], ghost)

    def check_end(self, state: State) -> Violations:
        """What must hold where nothing can happen any more."""
        words = self.results(state)
        wins = sum(word.endswith(": ok") and " off " in word for word in words)
        found: Violations = []
        if self.bounds.duel and (wins > 1 or not (wins or self.bounds.budget)):
            found.append(("rule 5", f"{wins} of the duellists won"))
        ghost: Ghost = self.ghosts.values[state.ghost]
        if not self.bounds.budget:
            for key in {each.key for each in ghost.returned}:
                if any(self.units.states[lu].count(key) for lu in state.lus):
                    found.append(("rule 4", f"{key:#018x} slipped back in and stays"))
        return found


def _begun(running: Running, ghost: Ghost) -> Running:
    """At its first command; it may have begun just before, and is held to that."""
    lives = frozenset(key for key in ghost.joined if node_of(key) == running.act.victim)
    older = lives if running.act.kind == "off" else frozenset()
    return running._replace(older=older, was_ended=running.key in ghost.ended, begun=True)
