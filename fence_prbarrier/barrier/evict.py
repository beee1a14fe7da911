"""Evict a node from one LU (action ``off``, on a survivor).

Every round begins with what was last read and ends with reading again; only a
reading that shows the victim gone, this node's key, and the barrier up, taken
after the last command, is success.  The caller is never registered here.
"""

from __future__ import annotations

from ..errors import BarrierBroken, CommandFailed
from ..key import Key
from ..scsi import outcome as verdicts
from ..scsi.command import LogicalUnitReset, Pause, preempt_and_abort, reserve
from . import rules
from .exchange import Request, Route, failure, send
from .inspect import look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .drain import Drain
    from .exchange import Procedure
    from .inspect import Snapshot

MAX_ROUNDS = 6
MAX_RESETS = 3
# The kernel serves one task management function of a session at a time.
RESET_PAUSE_SECONDS = 0.1

# Verdicts after which only looking again tells what is so.
LOOK_AGAIN = (verdicts.CONFLICT, verdicts.PREEMPTED, verdicts.UNKNOWN)

ABORTED_BY_TARGET = "PREEMPT AND ABORT answered GOOD"
RESET_DONE = "LU reset after the keys were gone"
NOT_SEEN = "none: the keys were gone already, and drain=target asks for no reset"


class Eviction:
    """What an eviction did: the lives it ended, what drained the LU, what was read last."""

    __slots__ = ("evicted", "guarantee", "snapshot")

    def __init__(self, evicted: tuple[Key, ...], guarantee: str, snapshot: Snapshot) -> None:
        self.evicted = evicted
        self.guarantee = guarantee
        self.snapshot = snapshot


class _Progress:
    """What is known so far: lives whose removal was sent, and whether all were confirmed."""

    __slots__ = ("sent", "confirmed", "changed")

    def __init__(self) -> None:
        self.sent: set[Key] = set()
        self.confirmed: set[Key] = set()
        self.changed = False


def evict(
    own: Key,
    victim: int,
    named: frozenset[Key],
    drain: Drain,
    route: Route,
    first: Snapshot,
) -> Procedure[Eviction]:
    """End the ``named`` lives of node ``victim`` on one LU, and no other.

    ``first`` is a snapshot of this LU, old or new: if it is out of date, the
    target answers RESERVATION CONFLICT and the LU is read again.
    """
    snapshot, progress = first, _Progress()
    for _ in range(MAX_ROUNDS):
        rules.refuse_foreign_property(snapshot, own.tag)
        rules.require_member(snapshot, own)
        rules.refuse_other_life(snapshot, own.tag, victim, named)
        trouble = yield from _remove(own, victim, route, snapshot, progress)
        if not trouble:
            guarantee = yield from _drain(drain, route, progress)
        after = yield from look(route, snapshot.full)
        rules.refuse_other_life(after, own.tag, victim, named)
        if not trouble and not _lives_left(after, own, victim):
            rules.require_evicted(after, own, victim)
            return Eviction(tuple(sorted(progress.sent)), guarantee, after)
        snapshot = after
    raise BarrierBroken(
        f"node {victim} could not be evicted in {MAX_ROUNDS} rounds; the last one met:"
        f" {trouble or 'its registration came back'}"
    )


def _lives_left(snapshot: Snapshot, own: Key, victim: int) -> bool:
    return bool(snapshot.lives(own.tag, victim))


def _remove(
    own: Key, victim: int, route: Route, snapshot: Snapshot, progress: _Progress
) -> Procedure[str]:
    """Send what removes the victim; the text of what came between, empty if nothing did."""
    if snapshot.reservation is None:
        outcome = yield from send(route.current, reserve(own))
        if not outcome.good:
            return _doubt(reserve(own).name, outcome, route)
    for life in snapshot.lives(own.tag, victim):
        command = preempt_and_abort(own, life)
        progress.sent.add(life)
        outcome = yield from send(route.current, command)
        if not outcome.good:
            return _doubt(command.name, outcome, route)
        progress.confirmed.add(life)
    return ""


def _doubt(name: str, outcome: verdicts.Outcome, route: Route) -> str:
    """A verdict that asks for another look, in words; any other is a failure."""
    if outcome.verdict not in LOOK_AGAIN:
        raise CommandFailed(f"{name} failed: {outcome.detail}")
    # A conflict may also mean that this path's nexus is not registered.
    route.advance()
    return f"{name}: {outcome.detail}"


def _drain(drain: Drain, route: Route, progress: _Progress) -> Procedure[str]:
    """Bring the victim's commands to an end; what guarantees that they have, in words."""
    confirmed = bool(progress.sent) and progress.sent == progress.confirmed
    if drain.wait_seconds:
        yield Request(route.current, Pause(drain.wait_seconds))
        return f"{drain.wait_seconds:g} s waited after the keys were gone"
    if drain.always or (drain.if_unconfirmed and not confirmed):
        yield from _reset(route)
        return RESET_DONE
    if confirmed:
        return ABORTED_BY_TARGET
    if progress.sent:
        raise CommandFailed(
            "the victim's keys are gone, but PREEMPT AND ABORT was never seen to end, so its"
            " commands may still be in the device; use drain=auto or drain=reset"
        )
    return NOT_SEEN


def _reset(route: Route) -> Procedure[None]:
    action = LogicalUnitReset()
    for _ in range(MAX_RESETS):
        outcome = yield from send(route.current, action)
        if outcome.good:
            return
        route.advance()
        yield Request(route.current, Pause(RESET_PAUSE_SECONDS))
    raise failure(action, outcome)
