"""Join a LU (action ``on``, on the node itself).

The new key goes onto every path first, in place of whatever that path's nexus
had; only then are older incarnations that this node left elsewhere removed
(rule 8).  A node that is in place sends nothing that changes state.
"""

from __future__ import annotations

from ..errors import BarrierBroken, CommandFailed
from ..key import Key
from ..scsi import outcome as verdicts
from ..scsi.command import preempt_and_abort, register_and_ignore, reserve
from . import rules
from .exchange import Route, failure, send
from .inspect import capabilities, look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .exchange import Procedure
    from .inspect import Snapshot

MAX_ROUNDS = 6

# aptpl: whether registrations are to outlive a power loss of the target.
APTPL_AUTO = "auto"
APTPL_YES = "yes"
APTPL_NO = "no"
APTPL_CHOICES = (APTPL_AUTO, APTPL_YES, APTPL_NO)

LOOK_AGAIN = (verdicts.CONFLICT, verdicts.PREEMPTED, verdicts.UNKNOWN)


class Membership:
    """What a join found or made: whether it sent anything, and whether APTPL is active."""

    __slots__ = ("changed", "aptpl", "snapshot")

    def __init__(self, changed: bool, aptpl: bool, snapshot: Snapshot) -> None:
        self.changed = changed
        self.aptpl = aptpl
        self.snapshot = snapshot


def join(own: Key, aptpl: str, route: Route, first: Snapshot) -> Procedure[Membership]:
    """Register ``own`` on every path of one LU and put the barrier up if it is not.

    ``first`` is a snapshot of this LU.  Raises BarrierBroken where the read-back
    does not show the key on every path, or APTPL was demanded and is not active.
    """
    rules.refuse_foreign_property(first, own.tag)
    known = yield from capabilities(route)
    if aptpl == APTPL_YES and not known.aptpl_capable:
        raise CommandFailed(
            "aptpl=yes, but the target cannot keep registrations through a power loss"
            " (PTPL_C is 0); use aptpl=auto or mend the target"
        )
    persist = aptpl != APTPL_NO and known.aptpl_capable
    if _in_place(first, own, route.paths) and (known.aptpl_active or not persist):
        return Membership(False, known.aptpl_active, first)
    snapshot = yield from _register_everywhere(own, persist, route, first)
    snapshot = yield from _settle(own, route, snapshot)
    active = persist and (yield from capabilities(route)).aptpl_active
    if persist and not active:
        raise BarrierBroken(
            "APTPL was asked for in every registration, but the target does not show it"
            " active; another node may register without it (aptpl=no)"
        )
    return Membership(True, active, snapshot)


def _in_place(snapshot: Snapshot, own: Key, paths: int) -> bool:
    held = snapshot.reservation
    return (
        snapshot.count(own) == paths
        and held is not None
        and snapshot.lives(own.tag, own.node) == [own]
    )


def _register_everywhere(
    own: Key, persist: bool, route: Route, first: Snapshot
) -> Procedure[Snapshot]:
    """REGISTER AND IGNORE EXISTING KEY on each path; it replaces a key in place."""
    command = register_and_ignore(own, persist)
    for path in range(route.paths):
        for _ in range(MAX_ROUNDS):
            outcome = yield from send(path, command)
            # "Preempted" answers a registration that was taken away earlier: an
            # older life's.  The command itself was not executed (SAM-5 5.14).
            if outcome.verdict != verdicts.PREEMPTED:
                break
        if not outcome.good:
            # Sent again it would do no harm, but whether it took effect is not
            # known here, and the next run of ``on`` begins by looking.
            raise failure(command, outcome)
    return (yield from look(route, first.full))


def _settle(own: Key, route: Route, snapshot: Snapshot) -> Procedure[Snapshot]:
    """Reserve if nothing is reserved, remove older lives, and read back until it holds."""
    trouble = ""
    for _ in range(MAX_ROUNDS):
        rules.refuse_foreign_property(snapshot, own.tag)
        older = [key for key in snapshot.lives(own.tag, own.node) if key < own]
        if not snapshot.count(own):
            raise BarrierBroken(f"key {own} went away while it was being registered: evicted")
        if snapshot.reservation is not None and not older:
            rules.require_joined(snapshot, own, route.paths)
            return snapshot
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
