"""Moves and states in words, and back: transcripts, and the lines of a scenario file."""

from __future__ import annotations

from typing import Any

from fence_prbarrier.explain import explain_command, explain_key
from fence_prbarrier.key import Key
from fence_prbarrier.scsi import spc
from fence_prbarrier.scsi.command import LogicalUnitReset

from .checker import Checker
from .state import Label, Late, Slot, State
from .units import Frozen


class Lost(Exception):
    """A course that cannot be gone: the code takes another one by now."""


def who(checker: Checker, index: int) -> str:
    """An agent's name: its node's, and a letter where the node has several."""
    node = checker.owners[index]
    before = checker.owners[:index].count(node)
    return f"n{node}" + ("" if not before else chr(ord("a") + before))


def text_of(checker: Checker, label: Label) -> str:
    """A move as a scenario file has it."""
    kind, *rest = label
    if kind == "command":
        return f"{who(checker, rest[0])} LU{rest[1]} {rest[2]}".rstrip()
    if kind in ("remember", "killed", "begin"):
        return f"{who(checker, rest[0])} {kind}"
    if kind == "land":
        return f"late {rest[0]} lands"
    if kind == "reboot":
        return f"n{rest[0]} reboots"
    if kind in ("power-loss", "cleared", "released"):
        return f"LU{rest[0]} " + (kind if kind != "power-loss" else "loses power")
    return f"LU{rest[0]} n{rest[1][0]} path {rest[1][1]} swallows"


def step(checker: Checker, state: State, text: str) -> tuple[Label, State, Any]:
    """The move that a line names, from this state."""
    possible = []
    for move in checker.moves(state):
        name = text_of(checker, move[0])
        if name == text:
            return move
        possible.append(name)
    raise Lost(f"{text!r} is not possible here; possible: {', '.join(possible) or 'nothing'}")


def waiting(checker: Checker, state: State, name: str) -> list[tuple[str, str]]:
    """The moves of an agent that are no fault, each with the command that it is."""
    found = []
    for index, number in enumerate(state.slots):
        slot: Slot = checker.slots.values[number]
        if who(checker, index) != name:
            continue
        if slot.running is None:
            found += [(f"{name} begin", "begin")] * bool(slot.todo)
            continue
        if checker.automata.plans[slot.running.plan].remember is not None:
            found.append((f"{name} remember", "remember"))
        for each in slot.running.jobs:
            job = checker.automata.jobs[each]
            if job.end < 0:
                found.append((f"{name} LU{checker.names.index(job.name)}", job.request.action.name))
    return found


def describe(checker: Checker, label: Label, before: State, after: State) -> list[str]:
    """One move for people: who sent what where, what came back, what the LU holds then."""
    kind, *rest = label
    head = text_of(checker, label)
    if kind == "command":
        return _command(checker, head, rest, before, after)
    if kind == "land":
        wire = checker.wires.values[before.wire[rest[0]]]
        action = Late(wire) if wire.cdb else LogicalUnitReset()
        sent = f"n{wire.sender.node} -> LU{wire.lu} path {wire.path}: {_sent(action)}"
        return [f"{head}: {sent}", _held(checker, after, wire.lu)]
    if kind == "remember":
        node = checker.owners[rest[0]]
        memory = checker.memories[after.nodes[checker.nodes.index(node)][1]]
        joined = ", ".join(sorted(memory.joined)) or "nothing yet"
        return [
            f"{head}: this boot is {memory.key}, joined {joined}",
            *_ended(before, after, checker),
        ]
    if kind in ("power-loss", "cleared", "released"):
        return [head, _held(checker, after, rest[0])]
    return [head, *_ended(before, after, checker)]


def _command(
    checker: Checker, head: str, rest: list[Any], before: State, after: State
) -> list[str]:
    index, lu, fault = rest
    running = checker.slots.values[before.slots[index]].running
    job = next(
        job
        for job in map(checker.automata.jobs.__getitem__, running.jobs)
        if job.name == checker.names[lu] and job.end < 0
    )
    action, path = job.request.action, job.request.path
    lines = [f"{head}: {_sent(action)} by path {path} ({running.act})"]
    if fault != "hung":
        for number, child in job.next.items():
            if child.number in _jobs_after(checker, after, index) or len(job.next) == 1:
                lines[0] += f" -> {checker.units.outcome(action, number).detail}"
                break
    if getattr(action, "data_out", b"") or before.lus[lu] != after.lus[lu]:
        lines.append(_held(checker, after, lu))
    return lines + _ended(before, after, checker)


def _jobs_after(checker: Checker, after: State, index: int) -> tuple[int, ...]:
    running = checker.slots.values[after.slots[index]].running
    return running.jobs if running else ()


def _sent(action: Any) -> str:
    cdb = getattr(action, "cdb", b"")
    if not cdb:
        return "LOGICAL UNIT RESET"
    lines = explain_command(cdb, getattr(action, "data_out", b""))
    text = lines[0].partition(", ")[2] or lines[0]
    data = getattr(action, "data_out", b"")
    if data:
        names = ("RK", "SARK")
        keys = (int.from_bytes(data[at : at + 8], "big") for at in (0, 8))
        text += "".join(f" {name} {Key(key) if key else 0}" for name, key in zip(names, keys))
        text += " APTPL" if data[20] & spc.APTPL_BIT else ""
    return text


def _held(checker: Checker, state: State, lu: int) -> str:
    return f"    LU{lu}: {held(checker.units.states[state.lus[lu]])}"


def held(frozen: Frozen) -> str:
    """What a LU holds, in a line."""
    keys = [f"{Key(key)} on n{node}/{path}" for (node, path), key in frozen.registrations]
    text = ", ".join(keys) or "no key"
    holder = frozen.holder_key
    text += f"; type {frozen.type} held by {Key(holder)}" if holder else "; no reservation"
    writes = [
        f"n{node}/{path}" + ("" if key else " unregistered")
        for (node, path), key, _, _ in frozen.tasks
    ]
    return text + (f"; writes in flight: {', '.join(dict.fromkeys(writes))}" if writes else "")


def _ended(before: State, after: State, checker: Checker) -> list[str]:
    old, new = checker.results(before), checker.results(after)
    left = list(new)
    for word in old:
        left.remove(word)
    return [f"    {word}" for word in left]


def legend(checker: Checker) -> list[str]:
    """The keys of a transcript, in words."""
    keys = sorted({key for ghost in checker.ghosts.values for key, _ in ghost.used})
    return [explain_key(Key(key)) for key in keys]


def transcript(checker: Checker, course: list[str]) -> list[str]:
    """The whole course, move by move, and what it broke."""
    state, found = checker.initial()
    lines = [_held(checker, state, lu).strip() for lu in range(len(state.lus))]
    for text in course:
        label, after, found = step(checker, state, text)
        found = found + checker.check(after)
        lines += describe(checker, label, state, after)
        state = after
    found = found or (checker.check_end(state) if not any(checker.moves(state)) else [])
    lines += [f"VIOLATES {rule}: {what}" for rule, what in found]
    return legend(checker) + lines
