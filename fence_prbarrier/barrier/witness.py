"""What a node saw of the others' lives on each LU: registered, and later gone.

A life that is gone from a LU never comes back to it by right: a node that has been
evicted joins again as another incarnation.  What does come back is a REGISTER that
was delayed, on a path that hung when the node was evicted, and lets an evicted
node write.  An eviction cannot see it coming; whoever looks later can.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..key import Key
    from .inspect import Snapshot

# Of each node so many ended lives are kept, the latest; an older one is never delayed so long.
MAX_ENDED_PER_NODE = 8


class Sighting:
    """Of one LU: the others' lives that stood there last, and those that stood there earlier."""

    __slots__ = ("seen", "ended")

    def __init__(self, seen: Iterable[Key] = (), ended: Iterable[Key] = ()) -> None:
        self.seen = frozenset(seen)
        self.ended = frozenset(ended)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sighting):
            return NotImplemented
        return (self.seen, self.ended) == (other.seen, other.ended)

    def __hash__(self) -> int:
        return hash((self.seen, self.ended))


NOTHING = Sighting()


class Witness:
    """Frozen: a sighting for each LU, by its identity."""

    __slots__ = ("sightings",)

    def __init__(self, sightings: Mapping[str, Sighting] | None = None) -> None:
        self.sightings = dict(sightings or {})

    def after(
        self,
        own: Key,
        looks: Mapping[str, Snapshot],
        evicted: Mapping[str, Iterable[Key]] | None = None,
        earlier: Witness | None = None,
    ) -> Witness:
        """With what these looks show, and with the lives that this node ended itself.

        ``earlier`` is what was known before these looks, this one unless told: only
        a life that was known then can be missing now.  One that another process
        has noted since may be younger than the looks.

        A LU that does not bear this node's own key and its cluster's reservation has
        been cleared, or has lost its state: nobody's absence means anything there.
        """
        sightings = dict(self.sightings)
        for name, found in looks.items():
            held = found.reservation
            if not found.count(own) or held is None or held.key is None or held.key.tag != own.tag:
                continue
            now_known = sightings.get(name, NOTHING)
            before = (earlier or self).sightings.get(name, NOTHING)
            keys = found.keys()
            now = {key for key in keys if key.tag == own.tag and key.node != own.node}
            ended = now_known.ended | (before.seen - now) | set((evicted or {}).get(name, ()))
            sightings[name] = Sighting(now, _latest(ended))
        return Witness(sightings)

    def returned(self, name: str, found: Snapshot) -> list[Key]:
        """The lives that are registered on a LU although they had gone from it."""
        return sorted(found.keys() & self.sightings.get(name, NOTHING).ended)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Witness):
            return NotImplemented
        return self.sightings == other.sightings

    __hash__ = None  # type: ignore[assignment]


def _latest(keys: Iterable[Key]) -> list[Key]:
    """Of each node the latest few."""
    kept: list[Key] = []
    counts: dict[int, int] = {}
    for key in sorted(keys, reverse=True):
        counts[key.node] = counts.get(key.node, 0) + 1
        if counts[key.node] <= MAX_ENDED_PER_NODE:
            kept.append(key)
    return kept
