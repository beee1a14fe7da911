"""Join a LU (action ``on``, on the node itself).

The new key goes onto every path first, in place of whatever that path's nexus
had; only then are older incarnations that this node left elsewhere removed
(rule 8).  A node that is in place sends nothing that changes state.

A life that is on the LU already is only ever *renewed*: REGISTER names the key
that must be there, so the target itself refuses a node that has been evicted
in between (rule 4).  REGISTER AND IGNORE EXISTING KEY is for a life that is
not on the LU.  Whatever was registered although an eviction came in between
shows in the count of nexuses, and is taken back.
"""

from __future__ import annotations

from ..errors import BarrierBroken, CommandFailed, NotMember
from ..key import Key
from ..scsi import outcome as verdicts
from ..scsi.command import (
    Command,
    preempt,
    preempt_and_abort,
    register,
    register_and_ignore,
    reserve,
)
from . import rules
from .exchange import Route, failure, send
from .inspect import capabilities, look
from .nexus import bearing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..scsi.outcome import Outcome
    from .exchange import Procedure
    from .inspect import Snapshot

MAX_ROUNDS = 6

# aptpl: whether registrations are to outlive a power loss of the target.
APTPL_YES = "yes"
APTPL_NO = "no"

LOOK_AGAIN = (verdicts.CONFLICT, verdicts.PREEMPTED, verdicts.UNKNOWN)


class Membership:
    """What a join found or made.

    ``changed``: it sent something.  ``entered``: this life was not on the LU
    before.  ``aptpl``: registrations outlive a power loss.  ``count``: on how
    many nexuses the key is now, each of the route's paths among them.  ``unread``:
    the LU's other paths, which got nothing, by index, and why.
    """

    __slots__ = ("changed", "entered", "aptpl", "count", "unread")

    def __init__(
        self,
        changed: bool,
        entered: bool,
        aptpl: bool,
        count: int,
        unread: Mapping[int, str] | None = None,
    ) -> None:
        self.changed = changed
        self.entered = entered
        self.aptpl = aptpl
        self.count = count
        self.unread = dict(unread or {})


def join(
    own: Key, aptpl: str, route: Route, first: Snapshot, known: int = 0
) -> Procedure[Membership]:
    """Register ``own`` on every path of one LU and put the barrier up if it is not.

    ``first`` is a snapshot of this LU.  A path is known to bear the key where the
    target tells it of that nexus, or where the key is on ``known`` nexuses, which
    were made sure to include all of these paths; 0: that is not known, and every
    path is asked.  Raises NotMember where this life is evicted meanwhile,
    BarrierBroken where the read-back does not show the key on every path, or
    APTPL was asked for and is not active.
    """
    rules.refuse_foreign_property(first, own.tag)
    able = yield from capabilities(route)
    if aptpl == APTPL_YES and not able.aptpl_capable:
        raise CommandFailed(
            "aptpl=yes, but the target cannot keep registrations through a power loss"
            " (PTPL_C is 0); use aptpl=auto or mend the target"
        )
    persist = aptpl != APTPL_NO and able.aptpl_capable
    if in_place(first, own, known, route) and (able.aptpl_active or not persist):
        return Membership(False, False, able.aptpl_active, first.count(own), first.unread)
    before = first.count(own)
    added = yield from _register_everywhere(own, persist, route, first)
    snapshot = yield from look(route, first.full)
    count = yield from _settle(own, route, snapshot, before, added)
    active = persist and (yield from capabilities(route)).aptpl_active
    if persist and not active:
        raise BarrierBroken(
            "APTPL was asked for in every registration, but the target does not show it"
            " active; another node may register without it (aptpl=no)"
        )
    return Membership(True, not before, active, count, first.unread)


def in_place(snapshot: Snapshot, own: Key, known: int, route: Route) -> bool:
    """The key on each of the route's paths, no other life of its node, and a reservation.

    Where the target does not tell of each nexus, it must be on as many as are
    ``known`` to be all of them; 0: that is not known.
    """
    if snapshot.reservation is None or snapshot.lives(own.tag, own.node) != [own]:
        return False
    told = bearing(snapshot, own, route.names)
    told = tuple(told[path] for path in route.paths)
    if False in told:
        return False
    return None not in told or (known > 0 and snapshot.count(own) == known)


def _register_everywhere(
    own: Key, persist: bool, route: Route, first: Snapshot
) -> Procedure[list[int]]:
    """Get the key onto every path; the paths whose nexus did not bear it before."""
    added: list[int] = []
    for path in route.paths:
        if first.count(own):
            outcome = yield from _insist(path, register(own, own, persist))
            if outcome.good:
                continue
            if outcome.verdict == verdicts.CONFLICT:
                if not (yield from look(route, first.full)).count(own):
                    raise _evicted(own)
                # A new path, then; if an eviction comes now, the count will tell.
                outcome = yield from _insist(path, register(0, own, persist))
            if outcome.verdict == verdicts.CONFLICT:
                # Registered, then.  With ours, where the first conflict was not about the key:
                # what was not added must not be taken back as if it were.
                outcome = yield from _insist(path, register(own, own, persist))
                if outcome.good:
                    continue
            if outcome.verdict == verdicts.CONFLICT:
                # The nexus bears a key of an older life, or got ours just now.
                outcome = yield from _insist(path, register_and_ignore(own, persist))
        else:
            outcome = yield from _insist(path, register_and_ignore(own, persist))
        if outcome.good:
            added.append(path)
            continue
        yield from _give_up(own, route, first, [*added, path])
        raise failure(register_and_ignore(own, persist), outcome)
    return added


def _insist(path: int, command: Command) -> Procedure[Outcome]:
    """Send it, and again after "preempted": it was not executed (SAM-5 5.14).

    Safe for the conditional REGISTER, which then conflicts, and for a life that
    was not on the LU, where only an older one can have been preempted.
    """
    for _ in range(MAX_ROUNDS):
        outcome = yield from send(path, command)
        if outcome.verdict != verdicts.PREEMPTED:
            break
    return outcome


def _give_up(own: Key, route: Route, first: Snapshot, paths: list[int]) -> Procedure[None]:
    """After a registration that perhaps took effect: leave none that followed an eviction."""
    snapshot = yield from look(route, first.full)
    if snapshot.count(own) < first.count(own) + len(paths) - 1:
        yield from withdraw(own, paths, snapshot)
        raise _evicted(own)


def withdraw(own: Key, paths: list[int], snapshot: Snapshot) -> Procedure[None]:
    """Take back what an evicted life registered, from each nexus that bears its key.

    Not where this life holds the reservation: it would go with the registration
    (SPC-4 5.13.11.2.3), and with it everybody's barrier.  An eviction by this node itself may
    make it the holder at this moment.  So it preempts itself: to a holder that leaves
    reservation and registration, from any other it takes the registrations (SPC-4
    5.13.11.2.4), and the device decides which of the two it is.
    """
    held = snapshot.reservation
    if held is not None and held.key == own:
        return
    for path in paths:
        outcome = yield from _insist(path, preempt(own, own))
        if outcome.good:
            break  # from all of them; a conflict: this nexus bears it no more


def leave(own: Key, route: Route) -> Procedure[None]:
    """withdraw() by any path, after a look."""
    snapshot = yield from look(route)
    yield from withdraw(own, list(route.paths), snapshot)


def _evicted(own: Key) -> NotMember:
    return NotMember(f"{own} was evicted while it was being registered; reboot this node")


def _settle(
    own: Key, route: Route, snapshot: Snapshot, before: int, added: list[int]
) -> Procedure[int]:
    """Reserve if nothing is reserved, remove older lives, and read back until it holds.

    ``before`` nexuses bore the key, ``added`` paths got it: an eviction takes
    it from all at once, so one that came in between shows in the count.  The
    number of nexuses that bear it then.
    """
    trouble = ""
    for _ in range(MAX_ROUNDS):
        if snapshot.count(own) < before + len(added):
            yield from withdraw(own, added, snapshot)
            raise _evicted(own)
        rules.refuse_foreign_property(snapshot, own.tag)
        older = [key for key in snapshot.lives(own.tag, own.node) if key < own]
        if snapshot.reservation is not None and not older:
            rules.require_joined(snapshot, own, route)
            return snapshot.count(own)
        trouble = yield from _one_round(own, route, snapshot, older)
        snapshot = yield from look(route, snapshot.full)
    raise BarrierBroken(f"the LU did not settle in {MAX_ROUNDS} rounds; the last met: {trouble}")


def _one_round(own: Key, route: Route, snapshot: Snapshot, older: list[Key]) -> Procedure[str]:
    """RESERVE, then PREEMPT AND ABORT of older lives; what came between, in words.

    A conflict means that somebody was first, which the next look shows.
    """
    commands = [] if snapshot.reservation is not None else [reserve(own)]
    commands += [preempt_and_abort(own, key) for key in older]
    for command in commands:
        outcome = yield from send(route.current, command)
        if outcome.verdict in LOOK_AGAIN:
            return f"{command.name}: {outcome.detail}"
        if not outcome.good:
            raise failure(command, outcome)
    return ""
