"""Clear a LU: take one node's keys, or all of this cluster's and its reservation, off it.

Only ever begun by a person (rule 6), who was shown the LU before: what was
shown is removed and nothing else.  A key of the cluster that comes meanwhile
stops it; a foreign key is neither removed nor replaced.  CLEAR is not used: it
would take foreign keys too, and one that has come since the LU was shown.

A node that is registered in this boot removes another one's keys with its own
key, as in an eviction.  Otherwise a temporary key does the work: REGISTER,
PREEMPT AND ABORT of what was shown, RELEASE if it holds, and REGISTER with zero.
Each command follows from what was read last, so a run that was cut short is
finished by the next one, to which the temporary key is one more key of the cluster.

Commands in flight are not drained: whoever clears a LU has stopped its users.
A REGISTER that hangs on a dead path may land later, as in a join; ``status`` of
this node then tells of the temporary key, which bears its number.
"""

from __future__ import annotations

from ..errors import BarrierBroken, BarrierError, NotMember, Rejoined
from ..key import Key
from ..scsi import outcome as verdicts
from ..scsi.command import preempt_and_abort, register, release
from . import rules
from .everywhere import Each
from .exchange import Route, failure, send
from .inspect import capabilities, look, look_by_every_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..scsi.command import Command
    from ..scsi.outcome import Outcome
    from .everywhere import Plan, Unit
    from .exchange import Procedure
    from .inspect import Snapshot

MAX_ROUNDS = 8

LOOK_AGAIN = (verdicts.CONFLICT, verdicts.PREEMPTED, verdicts.UNKNOWN)


class Order:
    """What to clear from one LU.

    ``number`` is a node, None for all of the cluster; ``own`` this boot's key,
    if it has one; ``temporary`` a key of this node that was never used;
    ``shown`` the snapshot that the person saw.
    """

    __slots__ = ("number", "own", "temporary", "shown")

    def __init__(
        self, number: int | None, own: Key | None, temporary: Key, shown: Snapshot
    ) -> None:
        self.number = number
        self.own = own
        self.temporary = temporary
        self.shown = shown

    @property
    def tag(self) -> int:
        """The cluster's."""
        return self.temporary.tag

    @property
    def as_member(self) -> bool:
        """Whether this boot's own key does the work, and stays."""
        own = self.own
        others = own is not None and self.number not in (None, own.node)
        return own is not None and others and self.shown.count(own) > 0

    def named(self, snapshot: Snapshot) -> list[Key]:
        """The keys that a LU shows and the order is about, but for the temporary one."""
        keys = snapshot.keys() - {self.temporary}
        return sorted(
            key for key in keys if key.tag == self.tag and self.number in (None, key.node)
        )

    def kept(self, snapshot: Snapshot) -> list[Key]:
        """The cluster's other keys."""
        named = {*self.named(snapshot), self.temporary}
        return sorted(key for key in snapshot.keys() - named if key.tag == self.tag)

    def foreign(self, snapshot: Snapshot) -> list[Key]:
        """Everybody else's keys, which stay."""
        keys = snapshot.keys()
        return sorted(key for key in keys if key.tag != self.tag)


def check(order: Order, snapshot: Snapshot) -> None:
    """Whether the order may be carried out on a LU that shows this, or a BarrierError."""
    rules.refuse_foreign_property(snapshot, order.tag)
    held = snapshot.reservation
    kept = order.kept(snapshot)
    if order.as_member or held is None or not kept:
        return
    if held.key in order.named(snapshot):
        raise BarrierBroken(
            f"{held.key}, which is to be removed, holds the reservation, and without it the"
            f" barrier falls for {', '.join(map(str, kept))}: run clear on another node that has"
            " joined this LU, so that the reservation passes to that node"
        )


def clear_everywhere(units: list[Unit], orders: dict[str, Order]) -> Plan[dict[str, list[Key]]]:
    """Carry the orders out, one LU after the other; the keys that were removed from each.

    The first failure stops it, and tells which LUs were cleared and which were not begun.
    """
    done: dict[str, list[Key]] = {}
    for position, unit in enumerate(units):
        order = orders[unit.name]
        results = yield Each({unit.name: clear(order, Route(unit.paths))})
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


def clear(order: Order, route: Route) -> Procedure[list[Key]]:
    """Carry out one order; the keys that were removed, read back by every path."""
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
    _require_cleared(order, (yield from look_by_every_path(route.paths)))
    return removed


def same(one: Snapshot, other: Snapshot) -> bool:
    """The same registrations and reservation; renewing a registration changes nothing."""
    return one.reservation == other.reservation and sorted(
        (each.key, each.initiator, each.port or 0) for each in one.registrations
    ) == sorted((each.key, each.initiator, each.port or 0) for each in other.registrations)


def _refuse_newcomers(order: Order, snapshot: Snapshot) -> None:
    known = order.shown.keys()
    fresh = [key for key in order.named(snapshot) if key not in known]
    if fresh:
        raise Rejoined(
            f"{', '.join(map(str, fresh))} came meanwhile and was not shown, so it stays"
        )


def _as_member(order: Order, route: Route) -> Procedure[None]:
    """PREEMPT AND ABORT with this boot's own key, by any path that bears it."""
    own = order.own
    if own is None:
        raise ValueError("an order without a key of this boot")
    trouble = ""
    for _ in range(MAX_ROUNDS):
        snapshot = yield from look(route, order.shown.full)
        rules.refuse_foreign_property(snapshot, order.tag)
        rules.require_member(snapshot, own)
        _refuse_newcomers(order, snapshot)
        named = order.named(snapshot)
        if not named:
            return
        trouble = yield from _send_each(
            route.current, [preempt_and_abort(own, key) for key in named]
        )
        route.advance()  # a conflict may mean that this path's nexus is not registered
    raise _not_settled(trouble)


def _with_temporary_key(order: Order, route: Route) -> Procedure[None]:
    persist = (yield from capabilities(route)).aptpl_active
    yield from _probe(order, route)
    path, replaced = yield from _enter(order, route, persist)
    try:
        yield from _remove(order, route, path, persist)
    except BarrierError as error:
        yield from _take_back(order, route, path, replaced, persist)
        raise BarrierBroken(f"{error.what}; keys may be gone already: run clear again") from None


def _probe(order: Order, route: Route) -> Procedure[None]:
    """Whether the target knows PREEMPT AND ABORT, before anything is changed.

    The temporary key is not registered yet, so a target that does answers
    RESERVATION CONFLICT (SPC-4 5.13.11.2.4).
    """
    command = preempt_and_abort(order.temporary, order.named(order.shown)[0])
    outcome = yield from _insist(route.current, command)
    if outcome.good:
        raise BarrierBroken(
            "PREEMPT AND ABORT was answered GOOD to a key that is not registered: what this target"
            " says of it cannot be relied on; look at its keys with sg_persist"
        )
    if outcome.verdict == verdicts.UNSUPPORTED:
        raise BarrierBroken(
            f"the target does not know PREEMPT AND ABORT ({outcome.detail}), so this agent cannot"
            " remove keys from it: nothing removed; use sg_persist"
        )


def _enter(order: Order, route: Route, persist: bool) -> Procedure[tuple[int, int]]:
    """Register the temporary key on one path; which, and the key that it replaced there, or 0.

    REGISTER names what must be there, so the target itself refuses to replace
    a key that is not to be removed: another owner's, or this node's own.
    """
    temporary = order.temporary
    named = order.named(order.shown)
    # Most likely first: this node's own keys, the newest first; or none.
    likely = [key for key in reversed(named) if key.node == temporary.node]
    candidates = [*likely, 0, *(key for key in named if key not in likely)]
    trouble = ""
    for path in range(route.paths):
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
        f"no path took a key to work with (the last met: {trouble}): nothing removed; where each"
        " of this node's paths bears a key that is to stay, run clear on another node"
    )


def _remove(order: Order, route: Route, path: int, persist: bool) -> Procedure[None]:
    """Look, send what the look asks for, and so on until nothing of the order is left."""
    trouble = ""
    for _ in range(MAX_ROUNDS):
        snapshot = yield from look(route, order.shown.full)
        _refuse_newcomers(order, snapshot)
        commands = _next(order, snapshot, persist)
        if not commands:
            return
        trouble = yield from _send_each(path, commands)
    raise _not_settled(trouble)


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
        if not outcome.good:
            raise failure(command, outcome)
    return said


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


def _require_cleared(order: Order, snapshot: Snapshot) -> None:
    """Rule 1: what success looks like, read back."""
    left = order.named(snapshot) + [order.temporary] * bool(snapshot.count(order.temporary))
    if left:
        raise BarrierBroken(f"{', '.join(map(str, left))} is registered again: run clear again")
    held, before = snapshot.reservation, order.shown.reservation
    if order.kept(order.shown):
        if before is not None:
            rules.require_barrier(snapshot, order.tag)
    elif held is not None and held.key is not None and held.key.tag == order.tag:
        raise BarrierBroken(f"{held.key} holds a reservation again: run clear again")
    gone = [key for key in order.foreign(order.shown) if not snapshot.count(key)]
    if order.as_member and order.own is not None:
        rules.require_member(snapshot, order.own)
    if gone:
        raise BarrierBroken(
            f"foreign {', '.join(map(str, gone))} is gone too; clear does not remove it, so"
            " somebody else is at work on this LU"
        )


def _not_settled(trouble: str) -> BarrierBroken:
    return BarrierBroken(
        f"the LU did not become clear in {MAX_ROUNDS} rounds; the last met: {trouble}"
    )
