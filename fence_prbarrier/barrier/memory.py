"""What a node remembers between two runs of the agent, as a value.

Nobody needs it to find a key: keys are found on the LUs.  It tells whether
*this boot* has joined, which a LU cannot tell once the key is gone (rule 4).
"""

from __future__ import annotations

from ..errors import NotMember
from ..key import Key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Memory:
    """Frozen.  ``incarnation`` is the last one used; ``current`` if in this boot.

    ``joined`` holds the identities of the LUs where this boot's join was seen
    to succeed.
    """

    __slots__ = ("tag", "node", "incarnation", "current", "joined")

    def __init__(
        self,
        tag: int,
        node: int,
        incarnation: int | None = None,
        current: bool = False,
        joined: frozenset[str] = frozenset(),
    ) -> None:
        if current and incarnation is None:
            raise ValueError("a current life has an incarnation")
        self.tag = tag
        self.node = node
        self.incarnation = incarnation
        self.current = current
        self.joined = joined

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

    def having_joined(self, names: Iterable[str]) -> Memory:
        """The same life, joined on these LUs too."""
        return Memory(self.tag, self.node, self.incarnation, self.current, self.joined.union(names))
