"""Inspect a LU: who is registered, what is reserved, and by whom.

READ FULL STATUS shows registrations and reservation in one command, so at one
moment.  Where a target lacks it, READ KEYS and READ RESERVATION are read until
both tell the same generation.
"""

from __future__ import annotations

from ..errors import CommandFailed, ProtocolError, Truncated
from ..key import Key
from ..scsi import spc
from ..scsi.command import (
    inquiry,
    inquiry_vpd,
    read_full_status,
    read_keys,
    read_reservation,
    report_capabilities,
)
from ..scsi.identity import (
    Inquiry,
    name_of_unit,
    parse_designators,
    parse_inquiry,
    relative_target_port,
)
from ..scsi.reply import (
    KEY_BYTES,
    LARGEST_FULL_STATUS_DESCRIPTOR_BYTES,
    Capabilities,
    OddTransportID,
    Registration,
    Reservation,
    parse_capabilities,
    parse_read_full_status,
    parse_read_keys,
    parse_read_reservation,
    require_room,
)
from .exchange import NO_PATH, Route, Unsupported, failure, read, read_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .exchange import Procedure

# 64 nodes of four paths with iSCSI names of 40 characters fit at the first try.
FIRST_ALLOCATION_BYTES = 24576
MAX_GENERATION_CHASES = 5


class Snapshot:
    """What a LU said: all registrations and the reservation, of one moment.

    ``full`` tells whether the target knows READ FULL STATUS, so that nexuses
    are known and the next look can ask for it again.  ``unread`` are the paths,
    by index, through which it could not be read, and why.
    """

    __slots__ = ("generation", "registrations", "reservation", "full", "unread")

    def __init__(
        self,
        generation: int,
        registrations: tuple[Registration, ...],
        reservation: Reservation | None,
        full: bool,
        unread: Mapping[int, str] | None = None,
    ) -> None:
        self.generation = generation
        self.registrations = registrations
        self.reservation = reservation
        self.full = full
        self.unread = dict(unread or {})

    @property
    def bare(self) -> bool:
        """Nobody is registered and nothing is reserved."""
        return not self.registrations and self.reservation is None

    def keys(self) -> set[Key]:
        """Every registered key, once."""
        return {registration.key for registration in self.registrations}

    def count(self, key: Key) -> int:
        """On how many I_T nexuses ``key`` is registered."""
        return sum(registration.key == key for registration in self.registrations)

    def initiators(self, keys: Iterable[Key]) -> set[str]:
        """Names of the initiator ports that are registered with any of ``keys``."""
        wanted = set(keys)
        return {
            registration.initiator_name
            for registration in self.registrations
            if registration.key in wanted and registration.initiator_name
        }

    def agrees(self, other: Snapshot) -> bool:
        """The same generation, registrations and reservation."""
        return (
            self.generation == other.generation
            and self.reservation == other.reservation
            and sorted(each.key for each in self.registrations)
            == sorted(each.key for each in other.registrations)
        )

    def lives(self, tag: int, node: int) -> list[Key]:
        """The keys of one node of one cluster, older incarnations first."""
        return sorted(key for key in self.keys() if (key.tag, key.node) == (tag, node))


def look(route: Route, full: bool = True) -> Procedure[Snapshot]:
    """Read registrations and reservation; any doubt is an error, never an empty list."""
    if full:
        try:
            generation, registrations = yield from read_whole(
                route, read_full_status, _whole_full_status, FIRST_ALLOCATION_BYTES
            )
        except (Unsupported, Truncated, OddTransportID):
            # Unknown to the target, too long for its 16-bit length field, or
            # with a nexus that cannot be read: READ KEYS needs 8 bytes a key.
            pass
        else:
            reservation = _reservation_of(registrations)
            return Snapshot(generation, registrations, reservation, full=True)
    return (yield from _look_twice(route))


def look_by_every_path(paths: int) -> Procedure[Snapshot]:
    """Read the LU through each path that answers; all must tell the same.

    A path that does not is told in the snapshot, not raised, while another one does.

    Two LUs that bear one identity, such as copies of a virtual disk, look like
    two paths of one LU until only one of them changes.
    """
    for _ in range(MAX_GENERATION_CHASES):
        found: list[Snapshot] = []
        unread: dict[int, str] = {}
        for path in range(paths):
            try:
                found.append((yield from look(Route.only(path))))
            except Unsupported:
                raise  # it has answered: no path that died
            except CommandFailed as error:
                unread[path] = error.what  # a path that died; another may do
        if not found:
            raise CommandFailed("; ".join(dict.fromkeys(unread.values())) or NO_PATH)
        if all(each.agrees(found[0]) for each in found):
            found[0].unread = unread
            return found[0]
    raise ProtocolError(
        "its paths tell different registrations: these are several LUs with one identity;"
        " give each its own"
    )


def _whole_full_status(data: bytes, allocation_length: int) -> tuple[int, tuple[Registration, ...]]:
    # Before parsing: LIO may also declare a last descriptor that it has cut.
    name, entry_bytes = "READ FULL STATUS", LARGEST_FULL_STATUS_DESCRIPTOR_BYTES
    require_room(name, data, allocation_length, entry_bytes)
    return parse_read_full_status(data, allocation_length)


def _whole_keys(data: bytes, allocation_length: int) -> tuple[int, tuple[Key, ...]]:
    require_room("READ KEYS", data, allocation_length, KEY_BYTES)
    return parse_read_keys(data, allocation_length)


def _reservation_of(registrations: Iterable[Registration]) -> Reservation | None:
    """The one reservation that the holders' descriptors speak of."""
    found: Reservation | None = None
    holders = 0
    for registration in registrations:
        if registration.reservation is None:
            continue
        holders += 1
        if found is not None and found != registration.reservation:
            raise ProtocolError("READ FULL STATUS: two holders of different reservations")
        found = registration.reservation
    if found is not None and found.key is not None and holders != 1:
        raise ProtocolError(f"READ FULL STATUS: {holders} holders of a {found} reservation")
    return found


def _look_twice(route: Route) -> Procedure[Snapshot]:
    for _ in range(MAX_GENERATION_CHASES):
        generation, keys = yield from read_whole(
            route, read_keys, _whole_keys, FIRST_ALLOCATION_BYTES
        )
        again, reservation = yield from read_whole(
            route, read_reservation, parse_read_reservation, 24
        )
        # Equal generations: no registration came or went between the two (SPC-4 6.15.2).
        if generation == again:
            if reservation is not None and reservation.key and reservation.key not in keys:
                raise ProtocolError(
                    f"READ RESERVATION: holder {reservation.key} is not among the registered keys"
                )
            return Snapshot(
                generation, tuple(Registration(key) for key in keys), reservation, full=False
            )
    raise CommandFailed(
        f"registrations changed {MAX_GENERATION_CHASES} times between READ KEYS and"
        " READ RESERVATION; try again"
    )


def capabilities(route: Route) -> Procedure[Capabilities]:
    """REPORT CAPABILITIES, and that the type the barrier stands on is offered."""
    found = yield from read_whole(route, report_capabilities, parse_capabilities, 8)
    if found.types is not None and spc.WRITE_EXCLUSIVE_REGISTRANTS_ONLY not in found.types:
        raise CommandFailed(
            "the target does not offer reservations of type 5 (Write Exclusive - Registrants"
            " Only), so it cannot bear the barrier"
        )
    return found


def identify(route: Route) -> Procedure[tuple[str, int | None]]:
    """The LU's identity and the relative target port asked, from VPD page 83h."""
    designators = yield from read_whole(
        route,
        lambda length: inquiry_vpd(spc.VPD_DEVICE_IDENTIFICATION, length),
        parse_designators,
        1024,
    )
    return name_of_unit(designators), relative_target_port(designators)


def make_and_model(route: Route) -> Procedure[Inquiry]:
    """Standard INQUIRY data of a disk."""
    command = inquiry()
    outcome = yield from read(route, command)
    if not outcome.good:
        raise failure(command, outcome)
    return parse_inquiry(outcome.data)
