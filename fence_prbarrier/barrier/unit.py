"""A LU as the plans and the agent see it: a value, with the ways that lead to it."""

from __future__ import annotations

from .exchange import Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .inspect import Snapshot
    from .memory import Standing
    from .nexus import NexusName


class Unit:
    """A LU as the plans see it: its identity, its usable paths, whose make.

    ``ends`` are those paths, in order: pairs of a nexus and the device name that
    led to it, both opaque here.  ``lost`` are those that are named and not usable:
    pairs of the device name and why.  ``names`` are the nexuses of ``ends`` as
    targets name them, None where that is not known.
    """

    __slots__ = ("name", "ends", "vendor", "product", "lost", "names")

    def __init__(
        self,
        name: str,
        ends: tuple[tuple[str, str], ...],
        vendor: str = "",
        product: str = "",
        lost: tuple[tuple[str, str], ...] = (),
        names: tuple[NexusName | None, ...] = (),
    ) -> None:
        self.name = name
        self.ends = ends
        self.vendor = vendor
        self.product = product
        self.lost = lost
        self.names = names

    @property
    def paths(self) -> int:
        """How many paths are usable."""
        return len(self.ends)

    @property
    def label(self) -> str:
        """The LU for people."""
        return f"{self.name} ({', '.join(dict.fromkeys(device for _, device in self.ends))})"

    def route(self, found: Snapshot | None = None) -> Route:
        """By its usable paths, but for those through which ``found`` could not be read."""
        route = Route(self.paths, self.names)
        return route.without(found.unread) if found is not None else route

    def route_joined(self, joined: Mapping[str, Standing]) -> Route:
        """By the paths that this boot's last join registered, if one of them is usable.

        A path that is being registered at this moment may bear the key although the node
        has been evicted; the nexuses that bore it before cannot (REGISTER names the key).
        """
        standing = joined.get(self.name)
        known = standing.paths if standing is not None else frozenset()
        strange = [path for path, end in enumerate(self.ends) if end not in known]
        route = self.route()
        return route.without(strange) if len(strange) < self.paths else route
