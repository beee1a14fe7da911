"""What a node remembers between two runs of the agent, as a value.

Nobody needs it to find a key: keys are found on the LUs.  It tells whether
*this boot* has joined, which a LU cannot tell once the key is gone (rule 4).
"""

from __future__ import annotations

from ..errors import NotMember
from ..key import Key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Standing:
    """How this boot stood on a LU when that was last made sure of, path by path.

    ``count`` I_T nexuses bore its key, those of ``paths`` among them: pairs of
    a nexus and the device name that led to it, both opaque here.
    """

    __slots__ = ("count", "paths")

    def __init__(self, count: int, paths: frozenset[tuple[str, str]]) -> None:
        self.count = count
        self.paths = paths

    @property
    def nexuses(self) -> set[str]:
        """The nexuses of the paths."""
        return {nexus for nexus, _ in self.paths}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Standing):
            return NotImplemented
        return (self.count, self.paths) == (other.count, other.paths)

    def __hash__(self) -> int:
        return hash((self.count, self.paths))


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

    def having_joined(self, standings: Mapping[str, Standing]) -> Memory:
        """The same life, standing so on these LUs."""
        joined = {**self.joined, **standings}
        return Memory(self.tag, self.node, self.incarnation, self.current, joined)
