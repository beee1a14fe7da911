"""What must hold, told by what the LUs do and never by what the shipped code believes.

Each check returns the violations that it sees: pairs of a rule's name and what is wrong.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fence_prbarrier.errors import BarrierError
from fence_prbarrier.key import Key
from fence_prbarrier.simulator import codes

from ..barrier.world import TAG
from .units import FOREIGN, Frozen

# More than any action can rightly send to one LU (rule 10): see Automata.longest().
MAX_COMMANDS = 400

Violations = list[tuple[str, str]]

LANDED, SLIPPED, UNCOUNTED = "landed", "slipped", "uncounted"

REGISTERING = (codes.REGISTER, codes.REGISTER_AND_IGNORE_EXISTING_KEY)
PREEMPTING = (codes.PREEMPT, codes.PREEMPT_AND_ABORT)


class Return(NamedTuple):
    """See Ghost."""

    key: int
    lu: int
    nexus: tuple[int, int]
    how: str


class Ghost(NamedTuple):
    """What the checker knows and no node does.

    ``ended``: the lives that an ``off`` which succeeded has ended, by key.
    ``ended_boots``: pairs of node and boot that they lived in.
    ``returned``: an ended life, the LU and the nexus through which it may write again, and
    why: a REGISTER of it took effect after the LU was read for the last time, one that
    ``landed`` late or ``slipped`` in from an action that was under way; or it came and went
    before, and a loss of power made PRGENERATION begin anew, so that it was ``uncounted``.
    ``joined``: lives whose ``on`` succeeded.  ``used``: pairs of key and boot.
    ``lost``: lives that lost a registration to others' acts or to a loss of power.
    ``ended_by``: pairs of a life and of one that an off of it has ended.
    """

    ended: frozenset[int] = frozenset()
    ended_boots: frozenset[tuple[int, int]] = frozenset()
    returned: frozenset[Return] = frozenset()
    joined: frozenset[int] = frozenset()
    used: frozenset[tuple[int, int]] = frozenset()
    lost: frozenset[int] = frozenset()
    ended_by: frozenset[tuple[int, int]] = frozenset()

    def has_returned(self, key: int) -> bool:
        """By a late registration: one that slips in is never one to act by."""
        return any(each.key == key and each.how == LANDED for each in self.returned)

    def may_write(self, key: int, lu: int, nexus: tuple[int, int]) -> bool:
        return any(each[:3] == (key, lu, nexus) for each in self.returned)


class Sender(NamedTuple):
    """Who sent a command: what a check may hold it to.

    ``named``: the victim's lives that its first look showed.  ``late``: it was delayed.
    ``was_ended``: its life had been ended before its action began.
    """

    kind: str
    node: int
    boot: int
    key: int
    victim: int
    named: frozenset[int]
    was_ended: bool
    late: bool = False


def keys_in(data_out: bytes) -> tuple[int, int]:
    """RESERVATION KEY and SERVICE ACTION RESERVATION KEY, SPC-4 6.16.3."""
    return int.from_bytes(data_out[:8], "big"), int.from_bytes(data_out[8:16], "big")


def check_sent(sender: Sender, cdb: bytes, data_out: bytes) -> Violations:
    """What an action may send at all."""
    if not cdb or cdb[0] != codes.PERSISTENT_RESERVE_OUT:
        return []
    action = cdb[1] & 0x1F
    key, subject = keys_in(data_out)
    found: Violations = []
    if action in (codes.CLEAR, codes.RELEASE):
        found.append(("rule 6", f"{sender.kind} sends CLEAR or RELEASE"))
    if sender.kind == "status":
        found.append(("status", "status sends a command that changes something"))
    if action in REGISTERING and sender.kind == "off":
        found.append(("rule 3", "off registers"))
    if action in PREEMPTING:
        found += _check_preempt(sender, action, key, subject)
    return found


def _check_preempt(sender: Sender, action: int, key: int, subject: int) -> Violations:
    victim = Key(subject)
    if victim == sender.key:
        if sender.kind == "on" and action == codes.PREEMPT and key == subject:
            return []  # it takes back what it registered; check_done() sees whether it may
        return [("rule 8", "a node preempts its own life")]
    if sender.kind == "on":
        own = Key(sender.key) if sender.key else None
        if own is None or (victim.tag, victim.node) != (TAG, sender.node) or victim > own:
            return [("rule 8", f"on removes {victim}, which is no older life of this node")]
        return []
    if (victim.tag, victim.node) != (TAG, sender.victim):
        return [("rule 6", f"off of node {sender.victim} names {victim}")]
    if subject not in sender.named:
        return [("new life", f"off names {victim}, a life that it did not see when it began")]
    if key != sender.key:
        return [("rule 3", f"off sends {Key(key)}, not this boot's own key")]
    return []


def check_done(
    sender: Sender,
    ghost: Ghost,
    nexus: tuple[int, int],
    cdb: bytes,
    data_out: bytes,
    was: Frozen,
    now: Frozen,
) -> Violations:
    """What a command that was executed may have done to the LU."""
    gone = set(was.registrations) - set(now.registrations)
    found = _check_property(was, now, gone)
    if not cdb or cdb[0] != codes.PERSISTENT_RESERVE_OUT:
        return found
    action = cdb[1] & 0x1F
    subject = keys_in(data_out)[1]
    if action in REGISTERING and was.generation != now.generation and was.aptpl and not now.aptpl:
        found.append(("rule 7", "a registration without APTPL, and it is the last that wins"))
    for where, key in gone:
        registers = action in REGISTERING
        if registers and (where != nexus or Key(key).node != sender.node):
            found.append(("rule 6", f"REGISTER took {Key(key)} off {where}"))
        if not registers and key != subject:
            found.append(("new life", f"{Key(key)} went, which the command did not name"))
    # Only a life that others have evicted takes back what it registered meanwhile.
    taken_back = action == codes.PREEMPT and subject == sender.key and sender.key in ghost.lost
    if now.count(sender.key) < was.count(sender.key) and not taken_back:
        found.append(("rule 8", f"{Key(sender.key)} lost a registration by its own node's act"))
    return found


def _check_property(was: Frozen, now: Frozen, gone: set[Any]) -> Violations:
    found: Violations = []
    if any(nexus[0] == FOREIGN for nexus, _ in gone):
        found.append(("rule 6", "a stranger's registration is gone"))
    if was.type and Key(was.holder_key).tag != TAG:
        found.append(("rule 6", "a LU that a stranger has reserved is changed"))
    if was.type and not now.type:
        found.append(("barrier", "a command of the barrier took the reservation away"))
    return found


def check_off(sender: Sender, ghost: Ghost, seen: tuple[Any, ...]) -> Violations:
    """What the last reading must have shown where ``off`` succeeded, LU by LU."""
    found: Violations = []
    for number, facts in enumerate(seen):
        if facts is None:
            found.append(("rule 1", f"LU {number} was not read after the last command"))
            continue
        registrations, holder, type_, _ = facts
        keys = [Key(key) for _, key in registrations]
        if any((key.tag, key.node) == (TAG, sender.victim) for key in keys):
            found.append(("rule 1", f"LU {number} showed a key of the victim"))
        if sender.key not in keys:
            found.append(("rule 3", f"LU {number} did not show the caller's key"))
        if type_ != codes.WRITE_EXCLUSIVE_REGISTRANTS_ONLY:
            found.append(("rule 1", f"LU {number} bore no type 5 reservation"))
        elif keys[holder].tag != TAG:
            found.append(("rule 6", f"LU {number} was reserved by a stranger"))
    # One that a third node evicts after its last reading has still done what it says.
    if sender.was_ended and sender.key in ghost.ended and not ghost.has_returned(sender.key):
        found.append(("rule 3", "an off that began after its life's end succeeded"))
    late = ghost.has_returned(sender.key)
    if not late and any((life, sender.key) in ghost.ended_by for life in sender.named):
        found.append(("rule 5", "both duellists won"))
    return found


def check_on(
    sender: Sender, ghost: Ghost, seen: tuple[Any, ...], paths: list[set[int]], allowed: bool
) -> Violations:
    """What the last reading must have shown where ``on`` succeeded, LU by LU.

    ``paths``: of each LU those that it did not tell as lost.
    """
    found: Violations = []
    for number, facts in enumerate(seen):
        if facts is None:
            found.append(("rule 1", f"LU {number} was not read after the last command"))
            continue
        registrations, _, type_, _ = facts
        bearing = {path for (_, path), key in registrations if key == sender.key}
        if not bearing >= paths[number]:
            found.append(("join", f"LU {number}: {paths[number] - bearing} does not bear the key"))
        if type_ != codes.WRITE_EXCLUSIVE_REGISTRANTS_ONLY:
            found.append(("join", f"LU {number} bore no type 5 reservation"))
    # One that is evicted after its last reading may still say that it was in.
    if sender.was_ended and sender.key in ghost.ended and not ghost.has_returned(sender.key):
        found.append(("rule 4", "an evicted life came back by on"))
    same_boot = {key for key, boot in ghost.used if (Key(key).node, boot) == sender[1:3]}
    if not allowed and ghost.ended & ghost.joined & same_boot - {sender.key}:
        found.append(("rule 4", "a boot that had joined and was evicted came back by on"))
    return found


def check_status(told: list[Any], seen: tuple[Any, ...]) -> Violations:
    """What was told of each LU is what it held."""
    found: Violations = []
    for number, (snapshot, facts) in enumerate(zip(told, seen)):
        if isinstance(snapshot, BarrierError):
            continue
        held = snapshot.reservation
        if facts is None:
            found.append(("rule 1", f"LU {number} was told without being read"))
        elif sorted(each.key for each in snapshot.registrations) != sorted(
            key for _, key in facts[0]
        ) or (held.key if held else 0) != (facts[0][facts[1]][1] if facts[1] >= 0 else 0):
            found.append(("rule 1", f"LU {number}: something else was told than what it held"))
    return found


def check_state(lus: list[Frozen], ghost: Ghost) -> Violations:
    """Above all: nothing of an ended life is in a device, or would be accepted by one.

    Writes are saturated (units.py), so whatever could be accepted is in flight.
    """
    found: Violations = []
    for number, lu in enumerate(lus):
        for nexus, key, boot, _ in lu.tasks:
            if key in ghost.ended and not ghost.may_write(key, number, nexus):
                found.append(("rule 9", _can_land(number, nexus, str(Key(key)))))
            if not key and (nexus[0], boot) in ghost.ended_boots:
                found.append(("rule 9", _can_land(number, nexus, "no key: no barrier stands")))
    return found


def _can_land(number: int, nexus: tuple[int, int], key: str) -> str:
    return (
        f"LU {number}: a write of node {nexus[0]} by path {nexus[1]} under {key} can still take"
        " effect, although an off that ended that life has succeeded"
    )
