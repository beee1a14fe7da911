"""The rules that decide whether a procedure may go on, one function a rule.

Each looks at a snapshot and raises; none sends anything.
"""

from __future__ import annotations

from ..errors import BarrierBroken, ForeignProperty, NotMember, Rejoined
from ..key import LVM_TAG, Key, owner_of
from ..scsi import spc
from .nexus import bearing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .exchange import Route
    from .inspect import Snapshot


def refuse_foreign_property(snapshot: Snapshot, tag: int) -> None:
    """Rule 6: a LU that another cluster, another type or LVM has reserved is not touched."""
    for key in sorted(snapshot.keys()):
        if key.tag == LVM_TAG:
            raise ForeignProperty(f"the LU is in use by {owner_of(key)}; take it out of devices")
    held = snapshot.reservation
    if held is None:
        return
    if held.key is not None and held.key.tag != tag:
        raise ForeignProperty(
            f"the LU is reserved by {owner_of(held.key)}, {held}, not by this cluster"
            f" (tag 0x{tag:04x}); if this cluster's name was changed, set it back; if nobody uses"
            " the LU, its owner must clear it"
        )
    if held.type != spc.WRITE_EXCLUSIVE_REGISTRANTS_ONLY or held.scope != spc.SCOPE_LOGICAL_UNIT:
        holder = f"held by {owner_of(held.key)}" if held.key else "held by all registrants"
        raise ForeignProperty(
            f"the LU bears a reservation of {held}, scope {held.scope}, {holder};"
            " expected type 5, scope 0 (LU); its owner must clear it"
        )


def require_member(snapshot: Snapshot, own: Key) -> None:
    """Rule 3: only a node whose key is on the LU may evict."""
    if snapshot.count(own):
        return
    others = snapshot.lives(own.tag, own.node)
    found = f"; found of this node: {', '.join(map(str, others))}" if others else ""
    raise NotMember(
        f"this node's key {own} is not registered{found}: it has been evicted and may evict"
        " nobody; reboot it"
    )


def refuse_other_life(snapshot: Snapshot, tag: int, victim: int, named: frozenset[Key]) -> None:
    """An eviction names the lives it saw when it began; any other is not its to end.

    By name, not by order: a node whose clock went back and who remembers
    nothing may come back with a smaller incarnation.
    """
    for key in snapshot.lives(tag, victim):
        if key not in named:
            raise Rejoined(
                f"node {victim} has rejoined meanwhile as {key}: not evicted; evict it again"
                " if that life is to end too"
            )


def require_barrier(snapshot: Snapshot, tag: int) -> None:
    """A type 5 reservation of this cluster stands on the LU."""
    if snapshot.reservation is None:
        raise BarrierBroken(
            "no reservation stands on the LU, so anybody may write to it; on puts it up, and so"
            " does an off that fails for it: try again"
        )
    refuse_foreign_property(snapshot, tag)


def require_evicted(snapshot: Snapshot, own: Key, victim: int) -> None:
    """Rule 1: what success of an eviction looks like."""
    require_member(snapshot, own)
    require_barrier(snapshot, own.tag)
    left = snapshot.lives(own.tag, victim)
    if left:
        raise BarrierBroken(
            f"node {victim} is still registered as {', '.join(map(str, left))}: the"
            " registration stayed although the target answered GOOD to its removal"
        )


def refuse_unrest(snapshot: Snapshot) -> None:
    """It is one of those where something came and went at each pass of an eviction."""
    raise BarrierBroken(
        "a registration came and went each time that the LU was evicted from, and may have let"
        f" writes in (PRGENERATION {snapshot.generation}); try again"
    )


def refuse_disguise(snapshot: Snapshot, own: Key, victim: int, initiators: set[str]) -> None:
    """The victim's initiator port is not registered under another's key either.

    A stranger's, or that of a node that has the same initiator name, as a copied machine has.
    """
    for registration in snapshot.registrations:
        key = registration.key
        if registration.initiator_name not in initiators or _is_of(key, own.tag, victim):
            continue
        remedy = "that key must be removed"
        if key.tag == own.tag:
            remedy = f"give the victim and node {key.node} an initiator name each"
        raise BarrierBroken(
            f"the victim's initiator {registration.initiator_name} is still registered, by"
            f" {owner_of(key)}, and may write; {remedy}"
        )


def _is_of(key: Key, tag: int, node: int) -> bool:
    return (key.tag, key.node) == (tag, node)


def require_joined(snapshot: Snapshot, own: Key, route: Route) -> None:
    """What success of a join looks like: own key on every path, the barrier up, no older life."""
    count, paths = snapshot.count(own), len(route.paths)
    if count < paths:
        raise BarrierBroken(f"key {own} is registered on {count} of {paths} paths")
    told = bearing(snapshot, own, route.names)
    missing = [str(route.names[path]) for path in route.paths if told[path] is False]
    if missing:
        raise BarrierBroken(f"key {own} is not registered on nexus {', '.join(missing)}")
    require_barrier(snapshot, own.tag)
    older = [key for key in snapshot.lives(own.tag, own.node) if key != own]
    if older:
        raise BarrierBroken(
            f"other incarnations of this node are registered: {', '.join(map(str, older))}"
        )


def joined_by(own: Key, route: Route) -> Callable[[Snapshot], None]:
    """require_joined() of these paths, as a check of one snapshot."""
    return lambda snapshot: require_joined(snapshot, own, route)
