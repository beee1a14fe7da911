"""What a person asked to have cleared from a LU, and the rules for it.

Each rule looks at a snapshot and raises; none sends anything.
"""

from __future__ import annotations

from ..errors import BarrierBroken, Rejoined
from ..key import Key
from . import rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .inspect import Snapshot


class Order:
    """What to clear from one LU.

    ``number`` is a node, None for all of the cluster; ``own`` this boot's key,
    if it has one; ``temporary`` a key that was never used, of the node to clear,
    or of this node where all are; ``shown`` the snapshot that the person saw.
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
