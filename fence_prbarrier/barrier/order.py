"""What a person asked to have cleared from a LU, and the rules for it.

Each rule looks at a snapshot and raises; none sends anything.
"""

from __future__ import annotations

from ..errors import BarrierBroken, CommandFailed, NotMember, Rejoined
from ..key import Key
from . import rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .inspect import Snapshot
    from .unit import Unit


class Order:
    """What to clear from one LU.

    ``number`` is a node, None for all of the cluster; ``own`` this boot's key,
    if it has one; ``temporary`` a key of this node that was never used; ``shown``
    the snapshot that the person saw; ``joined`` whether this boot has joined the LU.
    """

    __slots__ = ("number", "own", "temporary", "shown", "joined")

    def __init__(
        self, number: int | None, own: Key | None, temporary: Key, shown: Snapshot, joined: bool
    ) -> None:
        self.number = number
        self.own = own
        self.temporary = temporary
        self.shown = shown
        # A join may be cut short before it is remembered.
        self.joined = joined or (own is not None and shown.count(own) > 0)

    @property
    def tag(self) -> int:
        """The cluster's."""
        return self.temporary.tag

    @property
    def as_member(self) -> bool:
        """Whether this boot's own key does the work, and stays."""
        return self.of_another and self.own is not None and self.shown.count(self.own) > 0

    @property
    def of_another(self) -> bool:
        """Whether it is about another node alone."""
        return self.number not in (None, self.temporary.node)

    @property
    def evicted(self) -> bool:
        """Whether this boot joined the LU, and neither its key nor a temporary one is on it.

        The temporary key of a run that was cut short is newer than the key that it replaced.
        """
        own = self.own
        if own is None or not self.joined:
            return False
        lives = self.shown.lives(self.tag, own.node)
        return not any(key.incarnation >= own.incarnation for key in lives)

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
    if order.named(snapshot):
        _require_right(order)
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


def _require_right(order: Order) -> None:
    """Rules 3 and 4: who may not evict, or not rejoin, sends nothing."""
    if order.evicted:
        raise NotMember(
            "this node joined it in this boot and has been evicted since: reboot it, then clear,"
            " or run clear on another node"
        )
    if order.of_another and not order.as_member:
        raise NotMember(
            "this node is not registered on the LU in this boot, so it may not remove another"
            " node's keys: run clear on a node that has joined the LU, or clear all of the LU"
            " (without plug)"
        )


def refuse_unread(snapshot: Snapshot, unit: Unit, done: str = "") -> None:
    """Rule 2: every path is read; ``done`` tells what was done before."""
    troubles = [f"device {unit.ends[path][1]} ({why})" for path, why in snapshot.unread.items()]
    if troubles:
        raise CommandFailed(
            f"{done}could not be read by {', '.join(troubles)}: bring the path back, so that clear"
            " can read back by every path"
        )


def same(one: Snapshot, other: Snapshot) -> bool:
    """The same registrations and reservation; renewing a registration changes nothing."""
    return one.reservation == other.reservation and sorted(
        (each.key, each.initiator, each.port or 0) for each in one.registrations
    ) == sorted((each.key, each.initiator, each.port or 0) for each in other.registrations)


def refuse_newcomers(order: Order, snapshot: Snapshot) -> None:
    """A key that the order is about and that was not shown is not its to remove."""
    known = order.shown.keys()
    fresh = [key for key in order.named(snapshot) if key not in known]
    if fresh:
        raise Rejoined(
            f"{', '.join(map(str, fresh))} came meanwhile and was not shown, so it stays"
        )


def require_cleared(order: Order, snapshot: Snapshot) -> None:
    """Rule 1: what success looks like, read back."""
    left = order.named(snapshot) + [order.temporary] * bool(snapshot.count(order.temporary))
    if left:
        raise BarrierBroken(f"{', '.join(map(str, left))} is registered again: run clear again")
    held, before = snapshot.reservation, order.shown.reservation
    if order.kept(snapshot):
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
