"""Clear a LU: take one node's keys, or all of this cluster's and its reservation, off it.

Only ever begun by a person (rule 6), who was shown the LU before: what was
shown is removed and nothing else.  A key of the cluster that comes meanwhile
stops it; a foreign key is neither removed nor replaced.  CLEAR is not used: it
would take foreign keys too, and one that has come since the LU was shown.

Another node's keys are removed by a member only, with its own key, as in an
eviction.  Where all goes, or this node itself, a temporary key does the work:
REGISTER, PREEMPT AND ABORT of what was shown, RELEASE if it holds, and REGISTER
with zero.  It bears this node's number, so that whoever asks for this node, or
evicts it, finds it, and of a run that was cut short it is one more key that the
next run removes.  Each command follows from what was read last.

Commands in flight are not drained: whoever clears a LU has stopped its users.
A REGISTER that hangs on a dead path may land later, as in a join; ``status`` of
this node is then ON, and clear can be run again.
"""

from __future__ import annotations

from ..errors import BarrierBroken, BarrierError, NotMember
from ..key import Key
from ..scsi import outcome as verdicts
from ..scsi.command import preempt_and_abort, register, release
from . import rules
from .everywhere import Each
from .exchange import Unsupported, failure, send
from .inspect import capabilities, look, look_by_every_path
from .order import Order, check, refuse_newcomers, refuse_unread, require_cleared, same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..scsi.command import Command
    from ..scsi.outcome import Outcome
    from .everywhere import Plan
    from .exchange import Procedure, Route
    from .inspect import Snapshot
    from .unit import Unit

MAX_ROUNDS = 8

LOOK_AGAIN = (verdicts.CONFLICT, verdicts.PREEMPTED, verdicts.UNKNOWN)


def clear_everywhere(units: list[Unit], orders: dict[str, Order]) -> Plan[dict[str, list[Key]]]:
    """Carry the orders out, one LU after the other; the keys that were removed from each.

    The first failure stops it, and tells which LUs were cleared and which were not begun.
    """
    done: dict[str, list[Key]] = {}
    for position, unit in enumerate(units):
        order = orders[unit.name]
        results = yield Each({unit.name: clear(order, unit)})
        result = results[unit.name]
        if isinstance(result, BarrierError):
            text = result.what
            if done:
                text += f"; cleared before: {', '.join(done)}"
            if units[position + 1 :]:
                text += f"; not begun: {', '.join(each.name for each in units[position + 1 :])}"
            error = BarrierBroken(text)
            error.where = f"LU {unit.label}"
            raise error
        done[unit.name] = result
    return done


def clear(order: Order, unit: Unit) -> Procedure[list[Key]]:
    """Carry out one order; the keys that were removed, read back by every path."""
    route = unit.route()
    snapshot = yield from look(route, order.shown.full)
    if not same(snapshot, order.shown):
        raise BarrierBroken("it shows something else than what was to be removed: nothing removed")
    check(order, snapshot)
    removed = order.named(snapshot)
    if not removed:
        return removed
    if order.as_member:
        yield from _as_member(order, route)
    else:
        yield from _with_temporary_key(order, route)
    found = yield from look_by_every_path(unit.paths)
    require_cleared(order, found)
    refuse_unread(found, unit, "removed, but not read back: ")
    return removed


def _as_member(order: Order, route: Route) -> Procedure[None]:
    """PREEMPT AND ABORT with this boot's own key, by any path that bears it."""
    own = order.own
    if own is None:
        raise ValueError("an order without a key of this boot")
    route.prefer(order.shown, own)
    trouble = ""
    rounds = MAX_ROUNDS + len(route.paths)
    for _ in range(rounds):
        snapshot = yield from look(route, order.shown.full)
        rules.refuse_foreign_property(snapshot, order.tag)
        rules.require_member(snapshot, own)
        refuse_newcomers(order, snapshot)
        named = order.named(snapshot)
        if not named:
            return
        trouble = yield from _send_each(
            route.current, [preempt_and_abort(own, key) for key in named]
        )
        route.advance()  # a conflict may mean that this path's nexus is not registered
    raise _not_settled(rounds, trouble)


def _with_temporary_key(order: Order, route: Route) -> Procedure[None]:
    persist = (yield from capabilities(route)).aptpl_active
    yield from _probe(order, route)
    path, replaced = yield from _enter(order, route, persist)
    try:
        yield from _remove(order, route, path, persist)
    except BarrierError as error:
        yield from _take_back(order, route, path, replaced, persist)
        if isinstance(error, Unsupported):
            raise
        raise BarrierBroken(f"{error.what}; keys may be gone already: run clear again") from None


def _probe(order: Order, route: Route) -> Procedure[None]:
    """Ask in vain: does the target know PREEMPT AND ABORT, before anything is changed?

    The temporary key is not registered yet, so the answer is RESERVATION
    CONFLICT (SPC-4 5.13.11.2.4).  Some conflict before they look any further.
    """
    command = preempt_and_abort(order.temporary, order.named(order.shown)[0])
    outcome = yield from _insist(route.current, command)
    if outcome.good:
        raise BarrierBroken(
            "PREEMPT AND ABORT was answered GOOD to a key that is not registered: what this target"
            " says of it cannot be relied on; look at its keys with sg_persist"
        )
    if outcome.verdict == verdicts.UNSUPPORTED:
        raise _unsupported(command, outcome)


def _enter(order: Order, route: Route, persist: bool) -> Procedure[tuple[int, int]]:
    """Register the temporary key on one path; which, and the key that it replaced there, or 0.

    REGISTER names what must be there, so the target itself refuses to replace a
    key that is not to be removed, and to let in a member that was evicted meanwhile.
    """
    temporary = order.temporary
    named = order.named(order.shown)
    # Most likely first: this node's own keys, the newest before the others.
    own = [key for key in reversed(named) if key.node == temporary.node]
    candidates: list[int] = list(own)
    if not order.joined:
        candidates += [0, *(key for key in named if key not in own)]
    trouble = ""
    for path in route.paths:
        for key in candidates:
            command = register(key, temporary, persist)
            outcome = yield from _insist(path, command)
            if outcome.good:
                return path, key
            trouble = f"{command.name}: {outcome.detail}"
            if outcome.verdict == verdicts.CONFLICT:
                continue
            if outcome.verdict not in LOOK_AGAIN:
                raise failure(command, outcome)
            if (yield from look(route, order.shown.full)).count(temporary):
                return path, key
            break
    raise BarrierBroken(
        f"no path took a key to work with (the last met: {trouble}): nothing removed; where this"
        " node's paths bear a key that is to stay, or it was evicted, run clear on another node"
    )


def _remove(order: Order, route: Route, path: int, persist: bool) -> Procedure[None]:
    """Look, send what the look asks for, and so on until nothing of the order is left."""
    trouble = ""
    for _ in range(MAX_ROUNDS):
        snapshot = yield from look(route, order.shown.full)
        refuse_newcomers(order, snapshot)
        commands = _next(order, snapshot, persist)
        if not commands:
            return
        trouble = yield from _send_each(path, commands)
    raise _not_settled(MAX_ROUNDS, trouble)


def _next(order: Order, snapshot: Snapshot, persist: bool) -> list[Command]:
    """What to send after this look; nothing if all is done."""
    temporary = order.temporary
    named = order.named(snapshot)
    held = snapshot.reservation
    if named:
        check(order, snapshot)
        if not snapshot.count(temporary):
            raise NotMember(f"{temporary}, the key to work with, was removed by somebody else")
        return [preempt_and_abort(temporary, key) for key in named]
    if held is not None and held.key == temporary:
        if order.kept(snapshot):
            raise BarrierBroken(
                f"the reservation passed to {temporary}, which is left where it is, or the barrier"
                " would fall for others; clear this node on another one"
            )
        return [release(temporary)]
    return [register(temporary, 0, persist)] if snapshot.count(temporary) else []


def _send_each(path: int, commands: list[Command]) -> Procedure[str]:
    """Send them until one does not end well; what was met last, in words."""
    said = ""
    for command in commands:
        outcome = yield from _insist(path, command)
        said = f"{command.name}: {outcome.detail}"
        if outcome.verdict in LOOK_AGAIN:
            return said
        if outcome.verdict == verdicts.UNSUPPORTED:
            raise _unsupported(command, outcome)
        if not outcome.good:
            raise failure(command, outcome)
    return said


def _unsupported(command: Command, outcome: Outcome) -> Unsupported:
    return Unsupported(
        f"the target does not know {command.name} ({outcome.detail}), so this agent cannot remove"
        " keys from it: nothing removed; use sg_persist"
    )


def _insist(path: int, command: Command) -> Procedure[Outcome]:
    """Send it, and again after "preempted": it was not executed (SAM-5 5.14).

    Safe because each names the key that must be registered on this nexus.
    """
    for _ in range(MAX_ROUNDS):
        outcome = yield from send(path, command)
        if outcome.verdict != verdicts.PREEMPTED:
            break
    return outcome


def _take_back(
    order: Order, route: Route, path: int, replaced: int, persist: bool
) -> Procedure[None]:
    """Put back what the temporary key replaced, unless others' barrier would fall with it."""
    temporary = order.temporary
    try:
        held = (yield from look(route, order.shown.full)).reservation
    except BarrierError:
        return  # the first error is the one to tell
    if held is None or held.key != temporary or replaced:
        yield from send(path, register(temporary, replaced, persist))


def _not_settled(rounds: int, trouble: str) -> BarrierBroken:
    return BarrierBroken(f"the LU did not become clear in {rounds} rounds; the last met: {trouble}")
