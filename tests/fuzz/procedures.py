"""Targets: whole actions against logical units that answer with anything at all.

An input is a head (what is run, on what) and a script: for each command one
byte says what the LU does with it, and bytes after it with what.  Whatever it
does: an action ends, with a BarrierError or with a result; and a result is what
the last replies of every LU say, read by another reader than the product's.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Optional

from fence_prbarrier.barrier.everywhere import inspect_everywhere
from fence_prbarrier.errors import BarrierError, ProtocolError
from fence_prbarrier.scsi.command import Command, LogicalUnitReset
from fence_prbarrier.scsi.outcome import Completion, Outcome, classify
from fence_prbarrier.simulator.textform import dump, load
from tests.barrier.world import TAG, World

from . import oracle
from .checks import require, require_clear

OWN, VICTIM, OTHER = 3, 2, 1
PROFILES = ("spec", "lio", "tgt", "liar")
DRAINS = ("auto", "target", "reset", "wait:1")
MAX_COMMANDS = 20_000
READ_KEYS, READ_RESERVATION, READ_FULL_STATUS = 0, 1, 3

# (keys, what is held)
Evidence = tuple[tuple[int, ...], Optional[oracle.Held]]


class Script:
    """Bytes to play from; at their end honest for ever, or from the beginning again."""

    def __init__(self, data: bytes, again: bool) -> None:
        self._data = data
        self._again = again and bool(data)
        self._at = 0

    def take(self, count: int) -> bytes:
        """So many bytes; none where honest for ever."""
        if self._at >= len(self._data):
            if not self._again:
                return b""
            self._at = 0
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def number(self) -> int:
        return int.from_bytes(self.take(1), "big")


class HostileWorld(World):
    """LUs that may do anything; ``evidence`` is what each said last, by LU and path."""

    def play(self, data: bytes, again: bool) -> None:
        self.script = Script(data, again)
        self.commands = 0
        self.earlier: dict[tuple[str, bytes], Completion] = {}
        self.evidence: dict[tuple[str, int], Evidence] = {}
        self.keys: dict[tuple[str, int], tuple[int, tuple[int, ...]]] = {}

    def send(
        self, node: int, name: str, action: Command | LogicalUnitReset, path: int = 0
    ) -> Outcome:
        self.commands += 1
        require(self.commands <= MAX_COMMANDS, "there is no end to its commands")
        completion = self._completion(node, name, action, path)
        outcome = classify(action, completion)
        self._note((name, path), action, completion)
        return outcome

    def _honest(self, node: int, name: str, action: Any, path: int) -> Completion:
        unit, nexus = self.units[name], self.nexus(node, path)
        if isinstance(action, LogicalUnitReset):
            answer = unit.reset(nexus)
        else:
            answer = unit.command(nexus, action.cdb, action.data_out, action.data_in_length)
        return Completion(answer.status, answer.sense, answer.data, host=answer.host_status)

    def _completion(self, node: int, name: str, action: Any, path: int) -> Completion:
        """What the script has this LU do."""
        script, what = self.script, self.script.number() % 16
        cdb = getattr(action, "cdb", b"")
        room = getattr(action, "data_in_length", 0)
        if what == 7:  # tells another state than it is in; a change it says to have made
            return Completion(0, b"", self._picture(cdb, *script.take(2).ljust(2, b"\0"))[:room])
        if what == 8:  # executes nothing, and says anything
            return Completion(0, b"", script.take(script.number() * 2)[:room])
        if what == 9:
            status, host = script.number(), script.number()
            return Completion(status, host=host if host < 32 else 0)
        if what == 10:
            return Completion(2, script.take(script.number() % 64))
        if what == 14:
            return Completion(0, b"", bytes(room and 8))
        if what == 15 and (name, cdb) in self.earlier:
            return self.earlier[name, cdb]
        answer = self._honest(node, name, action, path)
        self.earlier[name, cdb] = answer
        if what == 11 and answer.data:
            at, bits = script.number() % len(answer.data), script.number()
            data = bytearray(answer.data)
            data[at] ^= bits
            return Completion(answer.status, answer.sense, bytes(data), host=answer.host)
        if what == 12:
            return Completion(answer.status, answer.sense, answer.data[: script.number()])
        if what == 13:
            return Completion(host=script.number() % 32 or 3)
        return answer

    def _picture(self, cdb: bytes, who: int, how: int) -> bytes:
        """A well-formed reply: some of five keys, one holder, none or two, some generation."""
        own = self.memory(OWN).key or TAG << 48 | OWN << 32 | 1
        victim = self.memory(VICTIM).key or TAG << 48 | VICTIM << 32 | 1
        everybody = (own, victim, victim - 1, TAG << 48 | OTHER << 32 | 9, 0x1234000100000001)
        keys = [int(key) for bit, key in enumerate(everybody) if who >> bit & 1]
        kind = (5, 5, 5, 5, 1, 6, 7, 8)[how >> 3 & 7]
        holders = keys[:2] if how & 7 == 7 else keys[how & 7 : (how & 7) + 1]
        if how & 7 == 6:  # one key on two nexuses, and both hold
            keys, holders = keys + keys[:1], keys[:1]
        action = cdb[1] if cdb[:1] == b"\x5e" else None
        body = b""
        if action == READ_KEYS:
            body = b"".join(key.to_bytes(8, "big") for key in keys)
        elif action == READ_RESERVATION and holders:
            holder = 0 if kind > 6 else holders[0]
            body = holder.to_bytes(8, "big") + bytes(5) + bytes((kind, 0, 0))
        elif action == READ_FULL_STATUS:
            for number, key in enumerate(keys):
                holds = key in holders
                flags = bytes((holds, kind * holds)) + bytes(4) + b"\0\1" + bytes(3) + b"\x18"
                port = bytes(8) + number.to_bytes(8, "big") + bytes(8)
                body += key.to_bytes(8, "big") + bytes(4) + flags + port
        return (who >> 5).to_bytes(4, "big") + len(body).to_bytes(4, "big") + body

    def _note(self, where: tuple[str, int], action: Any, completion: Completion) -> None:
        """Keep what was said, until something changes or the path says nothing any more."""
        cdb, data = getattr(action, "cdb", b"\0"), completion.data
        if isinstance(action, LogicalUnitReset) or cdb[0] == 0x5F:
            self.evidence.clear()
            self.keys.clear()
            return
        told = oracle.sense(completion.sense) if completion.status == 2 else (1, 0, 0, False)
        good = completion.status in (0, 2) and told is not None
        if cdb[0] != 0x5E or cdb[1] not in (READ_KEYS, READ_RESERVATION, READ_FULL_STATUS):
            return
        self.evidence.pop(where, None)
        if not good or told is None or (told[0], told[3]) != (1, False) or completion.host:
            return
        room = action.data_in_length
        if cdb[1] == READ_FULL_STATUS and (full := oracle.full_status(data, room)):
            whole, held = oracle.held_of(full[1])
            if whole:
                self.evidence[where] = tuple(sorted(each.key for each in full[1])), held
        if cdb[1] == READ_KEYS and (listed := oracle.keys(data, room)):
            self.keys[where] = listed
        if cdb[1] == READ_RESERVATION and (found := oracle.reservation(data, room)):
            keys = self.keys.get(where)
            if keys is not None and keys[0] == found[0]:
                self.evidence[where] = tuple(sorted(keys[1])), found[1]

    def said(self, name: str) -> list[Evidence]:
        """What each path of a LU said last, after the last command that changes anything."""
        return [each for (unit, _), each in self.evidence.items() if unit == name]


@cache
def _template(profile: str, units: int, paths: int, joined: bool) -> tuple[Any, ...]:
    """LUs as text and memories: a world that three nodes have joined, or only two of them."""
    world = World(*[profile] * units, paths=paths)
    for node in (OTHER, VICTIM, OWN) if joined else (OTHER, VICTIM):
        try:
            world.join(node)
        except BarrierError:
            pass  # a target that cannot bear the barrier is asked all the same
    return {name: dump(unit) for name, unit in world.units.items()}, world.memories, world.clock


def _world(data: bytes) -> HostileWorld:
    """The first byte says which."""
    head = data[0] if data else 0
    profile, units, paths = PROFILES[head % 4], 1 + head // 4 % 2, 1 + head // 8 % 2
    texts, memories, clock = _template(profile, units, paths, head & 0x20 == 0)
    world = HostileWorld(*[profile] * units, paths=paths)
    world.units = {name: load(text) for name, text in texts.items()}
    world.memories = dict(memories)
    world.clock = clock + 60
    if head & 0x40 and OWN in memories:
        world.memories[OWN] = memories[OWN]
    world.play(data[2:], again=bool(head & 0x80))
    return world


def _run(world: HostileWorld, steps: Any) -> tuple[bool, Any]:
    """(whether it succeeded, its result); any error but a BarrierError goes on up."""
    try:
        return True, world.finish(steps)
    except BarrierError as error:
        if not isinstance(error, ProtocolError):
            require_clear(error)
        return False, error


def _require_done(data: bytes, done: bool, why: Any) -> None:
    """What only ever fails is of no use: LUs that are honest, and joined, are fit for all."""
    head = data[0] if data else 0
    fit = PROFILES[head % 4] in ("spec", "lio") and not head & 0x20
    require(done or len(data) > 2 or not fit, "honest LUs, and no success", why)


def _is_barrier(held: oracle.Held | None) -> bool:
    """Type 5, of the LU, by a key of this cluster."""
    return held is not None and held[0] >> 48 == TAG and held[1:] == (0, 5)


def off(data: bytes) -> None:
    """Success only where every LU's last words show the victim gone and the barrier up."""
    world = _world(data)
    own = world.memory(OWN).key
    policy = DRAINS[data[1] % 4] if len(data) > 1 else "auto"
    done, why = _run(world, world.evicting(OWN, VICTIM, policy))
    _require_done(data, done, why)
    if not done:
        return
    require(own is not None, "a node without a key evicted another")
    for name in world.units:
        said = world.said(name)
        require(said, "success, and nothing was read back after the last command", name)
        for keys, held in said:
            lives = [key for key in keys if key >> 32 == TAG << 16 | VICTIM]
            require(not lives, "success, and the victim is registered", name, lives)
            require(own in keys, "success of a node that is not registered", name, keys)
            require(_is_barrier(held), "success, and the barrier is not up", name, held)


def on(data: bytes) -> None:
    """Success only where every LU's last words show this node's key and the barrier."""
    world = _world(data)
    rejoin, aptpl = ("reboot", "allow")[data[1] % 2] if len(data) > 1 else "reboot", "auto"
    done, result = _run(world, world.joining(OWN, rejoin=rejoin, aptpl=aptpl))
    _require_done(data, done, result)
    if not done:
        return
    own = world.memory(OWN).key
    require(own is not None and (own.tag, own.node) == (TAG, OWN), "no key is remembered", own)
    for name in world.units:
        said = world.said(name)
        require(said, "success, and nothing was read back after the last command", name)
        paths = world.paths - len(result[name].unread)
        for keys, held in said:
            require(keys.count(own) >= paths > 0, "success, and not on every path", name, keys)
            require(_is_barrier(held), "success, and the barrier is not up", name, held)
            others = [key for key in keys if key >> 32 == TAG << 16 | OWN and key != own]
            require(not others, "success, and an older life is registered", name, others)
        require(name in world.memory(OWN).joined, "success that is not remembered", name)


def inspect(data: bytes) -> None:
    """What is told of a LU is what it said last, by every path that was read."""
    world = _world(data)
    done, result = _run(world, world.steps(99, inspect_everywhere(world.described(99))))
    require(done, "one LU's error hides the others", result)
    for name, found in result.items():
        if isinstance(found, BarrierError):
            continue
        mine = tuple(sorted(int(each.key) for each in found.registrations))
        held = found.reservation
        plain = None if held is None else (int(held.key or 0), held.scope, held.type)
        said = world.said(name)
        require(said, "told, and nothing was read", name)
        require(all(each == (mine, plain) for each in said), "not what it said", said, mine, plain)
