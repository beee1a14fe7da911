"""What a node remembers between two runs of the agent, as a value.

Nobody needs it to find a key: keys are found on the LUs.  It tells whether
*this boot* has joined, which a LU cannot tell once the key is gone (rule 4).
"""

from __future__ import annotations

from ..errors import NotMember
from ..key import Key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Stands for the nexus of a device name that led to no usable path.
NO_NEXUS = ""
# Begins what stands for a nexus that a device led to earlier; no real one begins so.
UNKNOWN = "?"


class Standing:
    """How this boot stood on a LU when that was last made sure of, path by path.

    ``count`` I_T nexuses bore its key, those of ``paths`` among them: pairs of
    a nexus, or NO_NEXUS, and the device name that led to it, both opaque here.
    ``listed``: it was among the LUs of the last join.  One that was not still
    counts as joined, but its loss is no news: it may be in other hands.
    """

    __slots__ = ("count", "paths", "listed")

    def __init__(self, count: int, paths: frozenset[tuple[str, str]], listed: bool = True) -> None:
        self.count = count
        self.paths = paths
        self.listed = listed

    def without(self, devices: set[str]) -> Standing:
        """The same, but for what these device names led to."""
        kept = frozenset(path for path in self.paths if path[1] not in devices)
        return self if kept == self.paths else Standing(self.count, kept, self.listed)

    def by_device(self) -> dict[str, int]:
        """How many nexuses each device name led to; a multipath map leads to several."""
        counts: dict[str, int] = {}
        for nexus, device in self.paths:
            if nexus != NO_NEXUS:
                counts[device] = counts.get(device, 0) + 1
        return counts

    def after(self, earlier: Standing, changed: bool) -> Standing:
        """What to remember after ``earlier``: this, and of each device what is missing of it.

        Unless something was ``changed`` on the LU, what vouched for a nexus that is
        missing now still does.  Otherwise an unknown nexus stands in its place, so
        that the device is known to have led to more.
        """
        now, paths = self.by_device(), set(self.paths)
        for device, count in earlier.by_device().items():
            there = now.get(device, 0)
            if not changed:
                gone = sorted(each for each in earlier.paths - self.paths if each[1] == device)
                paths.update(each for each in gone[: max(0, count - there)])
                paths.discard((NO_NEXUS, device))
            elif there:
                paths.update((f"{UNKNOWN}{number}", device) for number in range(there, count))
        return Standing(self.count, frozenset(paths), self.listed)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Standing):
            return NotImplemented
        return (self.count, self.paths, self.listed) == (other.count, other.paths, other.listed)

    def __hash__(self) -> int:
        return hash((self.count, self.paths, self.listed))


class Memory:
    """Frozen.  ``incarnation`` is the last one used; ``current`` if in this boot.

    ``joined`` tells, by identity, the LUs where this boot's join was seen to
    succeed, and how it stood there.
    """

    __slots__ = ("tag", "node", "incarnation", "current", "joined")

    def __init__(
        self,
        tag: int,
        node: int,
        incarnation: int | None = None,
        current: bool = False,
        joined: Mapping[str, Standing] | None = None,
    ) -> None:
        if current and incarnation is None:
            raise ValueError("a current life has an incarnation")
        self.tag = tag
        self.node = node
        self.incarnation = incarnation
        self.current = current
        self.joined = dict(joined or {})

    @property
    def key(self) -> Key | None:
        """This boot's key, or None if this boot has none yet."""
        if not self.current or self.incarnation is None:
            return None
        return Key.build(self.tag, self.node, self.incarnation)

    def require_key(self) -> Key:
        """This boot's key, or NotMember."""
        key = self.key
        if key is None:
            raise NotMember(
                "this node has not joined in this boot, so it may evict nobody; run action=on"
                " on it first"
            )
        return key

    def reborn(self, incarnation: int) -> Memory:
        """A new life in this boot, joined nowhere yet."""
        return Memory(self.tag, self.node, incarnation, current=True)

    def lists(self, names: Iterable[str]) -> bool:
        """Whether these are the LUs of the last join, neither more nor fewer."""
        return {name for name, each in self.joined.items() if each.listed} == set(names)

    def listing(self, names: Iterable[str]) -> Memory:
        """The same life, these being the LUs of the last join."""
        listed = set(names)
        joined = {
            name: Standing(each.count, each.paths, name in listed)
            for name, each in self.joined.items()
        }
        return Memory(self.tag, self.node, self.incarnation, self.current, joined)

    def having_joined(self, standings: Mapping[str, Standing]) -> Memory:
        """The same life, standing so on these LUs.

        A device name leads to one LU, and what it led to before is forgotten:
        were it lost, it would be taken for a path of the wrong LU.
        """
        taken = {device for standing in standings.values() for _, device in standing.paths}
        joined = {name: standing.without(taken) for name, standing in self.joined.items()}
        joined.update(standings)
        return Memory(self.tag, self.node, self.incarnation, self.current, joined)
