"""Evict a node from one LU (action ``off``, on a survivor).

This is the half that sends; ``everywhere`` reads every LU back after the last
command, and only what it reads there is success.  Whatever does not go as
expected is looked at again before anything else is sent.  The caller is never
registered here (rule 3).
"""

from __future__ import annotations

from ..errors import BarrierBroken, CommandFailed
from ..key import Key
from ..scsi import outcome as verdicts
from ..scsi.command import (
    LogicalUnitReset,
    Pause,
    preempt,
    preempt_and_abort,
    reserve,
    synchronize_cache,
)
from . import rules
from .exchange import Request, Route, failure, send
from .inspect import look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .drain import Drain
    from .exchange import Procedure
    from .inspect import Snapshot

MAX_ROUNDS = 6
# libiscsi has one task management function of a session in flight, and answers
# EIO to those that come meanwhile.
MAX_RESETS = 20
RESET_PAUSE_SECONDS = 0.25
# Where a reset waits for the end of the victim's session, libiscsi gives it up after 30 s and
# leaves its own session; Linux LIO takes that again when the victim's, 45 s at most, is over.
MAX_RESETS_ALONE = 100

# Verdicts after which only looking again tells what is so.
LOOK_AGAIN = (verdicts.CONFLICT, verdicts.PREEMPTED, verdicts.UNKNOWN)

ABORTED_BY_TARGET = "PREEMPT AND ABORT answered GOOD"
RESET_DONE = "LU reset after the keys were gone"
NOT_SEEN = "none: the keys were gone already, and drain=target asks for no reset"


class Eviction:
    """What an eviction did on one LU: the lives it ended, and what drained the LU, in words.

    ``before``: what the LU showed before the last commands, which removed ``removed`` lives.
    """

    __slots__ = ("evicted", "guarantee", "before", "removed")

    def __init__(
        self, evicted: frozenset[Key], guarantee: str, before: Snapshot, removed: int
    ) -> None:
        self.evicted = evicted
        self.guarantee = guarantee
        self.before = before
        self.removed = removed

    def after(self, earlier: Eviction | None) -> Eviction:
        """The same, with the lives that an earlier one ended."""
        lives = self.evicted | (earlier.evicted if earlier is not None else frozenset())
        return Eviction(lives, self.guarantee, self.before, self.removed)

    def holds(self, found: Snapshot, own: Key, victim: int) -> bool:
        """Whether ``found``, read back, shows no life of the victim, and none that came and went.

        A life is back after a delayed REGISTER, or never went.  One that came and went,
        as when the victim was registering a path and found itself evicted, was let
        write, and nothing has drained that.
        """
        if found.lives(own.tag, victim) or found.reservation is None:
            return False
        return _unexplained(self.before, found) == self.removed


def _unexplained(before: Snapshot, found: Snapshot) -> int:
    """How many REGISTER and PREEMPT came between whose registrations are not there to see.

    Each counts in PRGENERATION (SPC-4 6.15.2).
    """
    keys = found.keys()
    new = sum(max(0, found.count(key) - before.count(key)) for key in keys)
    return found.generation - before.generation - new


class _Progress:
    """Lives whose removal was sent, those confirmed by GOOD, and whether the barrier was down.

    ``in_doubt``: other nexuses than those of these lives may have been let write.
    """

    __slots__ = ("sent", "confirmed", "barrier_was_down", "in_doubt")

    def __init__(self, in_doubt: bool = False) -> None:
        self.sent: set[Key] = set()
        self.confirmed: set[Key] = set()
        self.barrier_was_down = False
        self.in_doubt = in_doubt

    @property
    def aborted(self) -> bool:
        """Every command that could reach the medium came from a nexus whose abort was seen.

        Where no reservation stood, nexuses without a registration could write
        too, and PREEMPT AND ABORT aborts nothing of theirs.
        """
        if self.barrier_was_down or self.in_doubt:
            return False
        return bool(self.sent) and self.sent == self.confirmed


def evict(
    own: Key,
    victim: int,
    named: frozenset[Key],
    drain: Drain,
    route: Route,
    first: Snapshot,
    in_doubt: bool = False,
) -> Procedure[Eviction]:
    """End the ``named`` lives of node ``victim`` on one LU, and no other.

    ``first`` is a snapshot of this LU, old or new: if it is out of date, the
    target answers RESERVATION CONFLICT and the LU is read again.  ``in_doubt``: an
    earlier eviction could not account for all that was registered.
    """
    snapshot, progress, trouble = first, _Progress(in_doubt), ""
    route.prefer(snapshot, own)
    # A conflict may mean that a path's nexus is not registered: each may cost a round.
    rounds = MAX_ROUNDS + len(route.paths)
    for _ in range(rounds):
        rules.refuse_foreign_property(snapshot, own.tag)
        rules.require_member(snapshot, own)
        rules.refuse_other_life(snapshot, own.tag, victim, named)
        ended = len(progress.confirmed)
        trouble = yield from _remove(own, victim, drain, route, snapshot, progress)
        if not trouble:
            guarantee = yield from _drain(drain, route, progress)
            removed = len(snapshot.lives(own.tag, victim))
            return Eviction(frozenset(progress.sent), guarantee, snapshot, removed)
        before, snapshot = snapshot, (yield from look(route, snapshot.full))
        # A removal whose answer was lost may still abort what the life had sent before it
        # registered again; GOOD of the next one tells nothing of that.
        if _unexplained(before, snapshot) != len(progress.confirmed) - ended:
            progress.in_doubt = True
    raise BarrierBroken(
        f"node {victim} could not be evicted in {rounds} rounds; the last one met: {trouble}"
    )


def put_up(own: Key, drain: Drain, route: Route) -> Procedure[None]:
    """Reserve where nothing is reserved, and drain: anybody could write until now.

    A conflict means that another member was first.
    """
    progress = _Progress()
    progress.barrier_was_down = True
    outcome = yield from send(route.current, reserve(own))
    if not outcome.good and outcome.verdict not in LOOK_AGAIN:
        raise failure(reserve(own), outcome)
    yield from _drain(drain, route, progress)


def _remove(
    own: Key, victim: int, drain: Drain, route: Route, snapshot: Snapshot, progress: _Progress
) -> Procedure[str]:
    """Send what removes the victim; the text of what came between, empty if nothing did."""
    if snapshot.reservation is None:
        progress.barrier_was_down = True
        outcome = yield from send(route.current, reserve(own))
        if not outcome.good:
            return _doubt(reserve(own).name, outcome, route)
    for life in snapshot.lives(own.tag, victim):
        command = (preempt if drain.reset_alone else preempt_and_abort)(own, life)
        progress.sent.add(life)
        outcome = yield from send(route.current, command)
        if not outcome.good:
            return _doubt(command.name, outcome, route)
        if not drain.reset_alone:
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
    if drain.wait_seconds:
        yield Request(route.current, Pause(drain.wait_seconds))
        return f"{drain.wait_seconds:g} s waited after the keys were gone"
    if drain.always or (drain.if_unconfirmed and not progress.aborted):
        if drain.reset_alone:
            # This makes the reset quick and proves nothing, so what it comes to does not matter.
            # A store is through with it when it is through with the writes that came before,
            # more often than not; what the reset then finds done it need not abort.
            yield from send(route.current, synchronize_cache())
        yield from _reset(route, MAX_RESETS_ALONE if drain.reset_alone else MAX_RESETS)
        return RESET_DONE
    if progress.aborted:
        return ABORTED_BY_TARGET
    if progress.sent or progress.in_doubt:
        raise CommandFailed(
            "the victim's keys are gone, but no PREEMPT AND ABORT was seen to end all that"
            " could write, so commands may still be in the device; use drain=auto or"
            " drain=reset"
        )
    return NOT_SEEN


def _reset(route: Route, limit: int) -> Procedure[None]:
    action = LogicalUnitReset()
    for _ in range(limit):
        outcome = yield from send(route.current, action)
        if outcome.good:
            return
        route.advance()
        yield Request(route.current, Pause(RESET_PAUSE_SECONDS))
    raise failure(action, outcome)
