"""Which I_T nexus bears a registration, as far as host and target name nexuses alike.

READ FULL STATUS names the initiator port and the relative target port of each
registration (SPC-4 6.15.5); this host knows both of its own paths as far as its
transport tells.  What cannot be compared is not known, never absent.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Optional

    from ..key import Key
    from ..scsi.reply import Registration
    from .inspect import Snapshot

    # True: bears the key.  False: does not.  None: not told.
    Bearing = Optional[bool]

ISID_MARK = ",i,"
ISCSI_NAMES = ("iqn.", "eui.", "naa.")


class NexusName:
    """One path's nexus: the initiator port in words, and the relative target port.

    An iSCSI initiator whose ISID is not known is named without it (SPC-4 7.6.4.5).
    """

    __slots__ = ("initiator", "port")

    def __init__(self, initiator: str, port: int) -> None:
        self.initiator = initiator.lower()
        self.port = port

    @property
    def exact(self) -> bool:
        """Whether no second nexus can have this name."""
        return ISID_MARK in self.initiator or not self.initiator.startswith(ISCSI_NAMES)

    def may_be(self, registration: Registration) -> bool:
        """Whether a registration may be of this nexus; with an exact name, is."""
        if registration.port != self.port and not registration.all_target_ports:
            return False
        other = registration.initiator.lower()
        if self.exact and ISID_MARK in other:
            return other == self.initiator
        return other.partition(ISID_MARK)[0] == self.initiator.partition(ISID_MARK)[0]

    def __str__(self) -> str:
        return f"{self.initiator} to target port {self.port}"


def bearing(snapshot: Snapshot, key: Key, names: Sequence[NexusName | None]) -> tuple[Bearing, ...]:
    """For each path, whether its nexus bears ``key``.

    Where no registration at all is of any of these nexuses, the target may name
    them in another way, so nothing is said of any.
    """
    told = snapshot.full and any(
        name is not None and name.may_be(each) for each in snapshot.registrations for name in names
    )
    if not told:
        return (None,) * len(names)
    return tuple(_bears(snapshot, key, name) for name in names)


def _bears(snapshot: Snapshot, key: Key, name: NexusName | None) -> Bearing:
    if name is None:
        return None
    found = [each for each in snapshot.registrations if each.key == key and name.may_be(each)]
    if not found:
        return False
    whole = name.exact and all(ISID_MARK in each.initiator or _is_whole(each) for each in found)
    # Otherwise another session of this initiator may have made it.
    return True if whole else None


def _is_whole(registration: Registration) -> bool:
    """A TransportID that names a port, not an iSCSI initiator as such."""
    return not registration.initiator.startswith(ISCSI_NAMES)
