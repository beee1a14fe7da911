"""What happens to the agents, and to the LUs besides their commands: blows.

And what one command does to a LU, late or not, because a blow may be a late command.
"""

from __future__ import annotations

from typing import Any

from fence_prbarrier.barrier.memory import Memory
from fence_prbarrier.scsi.command import LogicalUnitReset
from fence_prbarrier.simulator import codes

from ..barrier.world import TAG
from . import rules
from .actions import Actions
from .rules import Ghost, Sender, Violations
from .state import Label, Late, Slot, State, Wire, node_of

Move = tuple[Label, State, Violations]

KILLED = "killed"
HAND = {"cleared": codes.CLEAR, "released": codes.RELEASE}


class Blows(Actions):
    """The moves that no plan asks for."""

    def _execute(
        self,
        lu: int,
        sender: Sender,
        ghost: Ghost,
        nexus: tuple[int, int],
        action: Any,
        strike: str,
    ) -> tuple[int, int, Ghost, Violations]:
        """One command at one LU, and what it may have broken."""
        now, response = self.units.run(lu, nexus, action, strike)
        was, is_ = self.units.states[lu], self.units.states[now]
        if was.facts == is_.facts and was.aptpl == is_.aptpl:
            return now, response, ghost, []
        cdb, data_out = action.cdb, action.data_out
        found = rules.check_done(sender, ghost, nexus, cdb, data_out, was, is_)
        lost = {key for key in was.key_set() if is_.count(key) < was.count(key)} - {sender.key}
        subject = rules.keys_in(data_out)[1]
        back = ghost.returned
        if subject in ghost.ended and is_.count(subject) > was.count(subject):
            how = rules.LANDED if sender.late else rules.SLIPPED
            back |= {rules.Return(subject, was.kind, nexus, how)}
            if sender.was_ended and not sender.late:
                found.append(("rule 4", "an action that began after its life's end registers it"))
        ghost = ghost._replace(lost=ghost.lost | lost, returned=back)
        return now, response, ghost, found

    def _put(self, state: State, index: int, slot: Slot, ghost: Ghost) -> State:
        slots = list(state.slots)
        slots[index] = self.slots.number(slot)
        return self._saturated(state._replace(slots=tuple(slots), ghost=self.ghosts.number(ghost)))

    def _saturated(self, state: State) -> State:
        """Every watched node's write in flight wherever it would be accepted."""
        ghost: Ghost = self.ghosts.values[state.ghost]
        writers = []
        for node in self.bounds.watched:
            if node in self.nodes:
                boot = state.nodes[self.nodes.index(node)][0]
                lives = ((node_of(key), each) for key, each in ghost.used if key in ghost.joined)
                writers.append((node, self.bounds.paths, boot, (node, boot) in lives))
        known = tuple(writers)
        return state._replace(lus=tuple(self.units.saturate(lu, known) for lu in state.lus))

    def _killed(self, state: State, index: int, ghost: Ghost) -> tuple[State, Slot, Violations]:
        slot: Slot = self.slots.values[state.slots[index]]
        node = self.owners[index]
        kind = slot.running.act.kind if slot.running else ""
        slot = Slot(slot.todo, None, (*slot.done, f"n{node} {kind}: {KILLED}"))
        slot, _, found = self._next_act(state, node, slot, ghost)
        return state, slot, found

    def _kill(self, state: State, index: int) -> Move:
        ghost = self.ghosts.values[state.ghost]
        state = state._replace(budget=state.budget - 1)
        state, slot, found = self._killed(state, index, ghost)
        return (KILLED, index), self._put(state, index, slot, ghost), found

    def _is_ruled_out(self, state: State, wire: Wire) -> bool:
        """By the assumption "no late registration"."""
        if not self.bounds.no_late_registration or not wire.cdb:
            return False
        ghost: Ghost = self.ghosts.values[state.ghost]
        registers = wire.cdb[1] & 0x1F in rules.REGISTERING
        return registers and rules.keys_in(wire.data_out)[1] in ghost.ended

    def _land(self, state: State, place: int) -> Move:
        """A delayed command arrives; its reply goes nowhere."""
        wire: Wire = self.wires.values[state.wire[place]]
        ghost: Ghost = self.ghosts.values[state.ghost]
        sender = wire.sender._replace(late=True)
        lu = wire.lu
        action = Late(wire) if wire.cdb else LogicalUnitReset()
        now, _, ghost, found = self._execute(
            state.lus[lu], sender, ghost, (sender.node, wire.path), action, ""
        )
        state = state._replace(
            lus=(*state.lus[:lu], now, *state.lus[lu + 1 :]),
            wire=(*state.wire[:place], *state.wire[place + 1 :]),
            ghost=self.ghosts.number(ghost),
        )
        return ("land", place), self._saturated(state), found

    def _reboot(self, state: State, place: int) -> Move:
        """Power off and on: agents, memory and sessions are gone, tasks in a device are not."""
        node = self.nodes[place]
        boot = state.nodes[place][0]
        nodes, reboots = list(state.nodes), list(state.reboots)
        nodes[place] = (boot + 1, self._memory(Memory(TAG, node)))
        reboots[place] -= 1
        wire = state.wire
        if not self.bounds.wire_outlives_boot:
            wire = tuple(each for each in wire if self.wires.values[each].sender.node != node)
        state = state._replace(nodes=tuple(nodes), reboots=tuple(reboots), wire=wire)
        ghost = self.ghosts.values[state.ghost]
        slots, found = list(state.slots), []
        for index, owner in enumerate(self.owners):
            if owner == node:
                slot: Slot = self.slots.values[slots[index]]
                then = self.bounds.agents[index].then
                slot = Slot(then, None, (*slot.done, f"n{node} reboot"))
                slot, ghost, more = self._next_act(state, node, slot, ghost)
                slots[index] = self.slots.number(slot)
                found += more
        state = state._replace(slots=tuple(slots), ghost=self.ghosts.number(ghost))
        return ("reboot", node), self._saturated(state), found

    def _lose_power(self, state: State, lu: int) -> Move:
        """Of the target.  Where it forgets, what an off guaranteed is forgotten, too."""
        now = self.units.cycle(state.lus[lu])
        was, is_ = self.units.states[state.lus[lu]], self.units.states[now]
        ghost: Ghost = self.ghosts.values[state.ghost]
        found: Violations = []
        if was.registrations != is_.registrations:
            ghost = ghost._replace(
                ended=frozenset(),
                ended_by=frozenset(),
                ended_boots=frozenset(),
                returned=frozenset(),
                lost=ghost.lost | was.key_set(),
            )
            ours = any(node_of(key) for key in was.key_set())
            if ours and self.bounds.keeps_aptpl and self.bounds.profiles[lu] in ("spec", "lio"):
                found.append(("rule 7", "the LU can keep registrations and was not asked to"))
        return ("power-loss", lu), self._forgetting(state, lu, now, ghost), found

    def _by_hand(self, state: State, lu: int, word: str) -> Move:
        """Whoever takes the barrier away by hand takes away what off guaranteed."""
        was = self.units.states[state.lus[lu]]
        now = self.units.by_hand(state.lus[lu], HAND[word])
        is_ = self.units.states[now]
        ghost: Ghost = self.ghosts.values[state.ghost]
        lost = was.key_set() if was.registrations != is_.registrations else frozenset()
        ghost = ghost._replace(
            ended=frozenset(),
            ended_by=frozenset(),
            ended_boots=frozenset(),
            returned=frozenset(),
            lost=ghost.lost | lost,
        )
        return (word, lu), self._forgetting(state, lu, now, ghost), []

    def _forgetting(self, state: State, lu: int, now: int, ghost: Ghost) -> State:
        """A LU is there without what it held, and whoever is at work does not know it."""
        forgets = self.units.states[now].facts[:3] != self.units.states[state.lus[lu]].facts[:3]
        slots = [_forgotten(self.slots.values[each], forgets) for each in state.slots]
        state = state._replace(
            lus=(*state.lus[:lu], now, *state.lus[lu + 1 :]),
            slots=tuple(self.slots.number(slot) for slot in slots),
            budget=state.budget - 1,
            ghost=self.ghosts.number(ghost),
        )
        return self._saturated(state)

    def _swallow(self, state: State, lu: int, nexus: tuple[int, int]) -> Move:
        """The kernel's own command on a nexus meets the unit attention that an agent would."""
        now = self.units.swallow(state.lus[lu], nexus)
        lus = (*state.lus[:lu], now, *state.lus[lu + 1 :])
        after = state._replace(lus=lus, budget=state.budget - 1)
        return ("swallowed", lu, nexus), self._saturated(after), []


def _forgotten(slot: Slot, forgets: bool) -> Slot:
    running = slot.running
    if running is None:
        return slot
    # Its life had been ended on a LU that knows nothing of it any more.
    ended = running.was_ended and not forgets
    return slot._replace(running=running._replace(power_lost=True, was_ended=ended))
