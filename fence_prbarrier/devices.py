"""Device names to paths, and paths to logical units.

Two names of one LU are two paths of it: LUs are told apart by VPD page 83h and
by nothing else.  A name that leads nowhere is an error that names it.
"""

from __future__ import annotations

import os

from .barrier.nexus import NexusName
from .barrier.unit import Unit
from .errors import BarrierError, DeviceError, InvalidInput
from .files import read_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .transport import Transport
    from .transport.sysfs import Node

MOCK_PREFIX = "mock:"
MAX_DEVICES = 4096
MAX_PATHS_PER_UNIT = 32
MAX_DEVICES_FILE_BYTES = 1 << 18


def parse_devices(text: str) -> list[str]:
    """Names separated by commas or blanks, each once, in the order given."""
    names = list(dict.fromkeys(text.replace(",", " ").split()))
    if len(names) > MAX_DEVICES:
        raise InvalidInput(f"devices: {len(names)} names, at most {MAX_DEVICES} are supported")
    return names


def read_devices_file(path: str) -> list[str]:
    """One device a line; blank lines and ``#`` comments are passed over."""
    try:
        raw = read_regular(path, MAX_DEVICES_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"devices_file {path}: {error.strerror}") from None
    if len(raw) > MAX_DEVICES_FILE_BYTES:
        raise InvalidInput(f"devices_file {path}: larger than {MAX_DEVICES_FILE_BYTES} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"devices_file {path}: not UTF-8 text") from None
    if "\0" in text:
        raise InvalidInput(f"devices_file {path}: a NUL byte in it; expected one device a line")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return parse_devices(" ".join(lines))


class Place:
    """One path that a name of the list leads to, not opened yet.

    ``name`` tells it apart in messages: the listed name, or the disk's of the
    map that is listed.  ``node`` is None for a simulated LU.
    """

    __slots__ = ("listed", "name", "node")

    def __init__(self, listed: str, name: str, node: Node | None = None) -> None:
        self.listed = listed
        self.name = name
        self.node = node

    @property
    def session(self) -> str:
        """Equal for paths that share an I_T nexus to several LUs; empty where nothing is known."""
        return self.node.session if self.node is not None else ""


class Path:
    """One path: its name, and its transport while it is open.

    ``listed`` is the name of the list that it stands under.  ``nexus`` is what
    two names of one I_T nexus share, and no other nexus of this boot;
    ``initiator`` names its initiator port as a target does, as far as it is
    known, and ``port`` is the relative target port.  ``vendor`` and ``product``
    are empty until they are known.  ``hung``: a command on it never came back.
    """

    __slots__ = (
        "name", "transport", "nexus", "vendor", "product", "listed", "initiator", "port",
        "session", "hung",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        transport: Transport,
        nexus: str,
        vendor: str = "",
        product: str = "",
        listed: str = "",
        initiator: str = "",
        session: str = "",
    ) -> None:
        self.name = name
        self.transport = transport
        self.nexus = nexus
        self.vendor = vendor
        self.product = product
        self.listed = listed or name
        self.initiator = initiator
        self.port: int | None = None
        self.session = session
        self.hung = False

    @property
    def nexus_name(self) -> NexusName | None:
        """The nexus as a target names it, None where this host or the LU does not tell."""
        if not self.initiator or self.port is None:
            return None
        return NexusName(self.initiator, self.port)

    def close(self) -> None:
        """Give the transport back, unless a thread is still in the kernel with it.

        Its descriptor's number must not become another device's meanwhile; it
        goes with the process.
        """
        if not self.hung:
            self.transport.close()


class Lost:
    """A path that is not usable: its listed name, of which LU, empty if nobody knows, and why."""

    __slots__ = ("name", "identity", "error")

    def __init__(self, name: str, identity: str, error: BarrierError) -> None:
        self.name = name
        self.identity = identity
        self.error = error


def places_of(name: str) -> list[Place]:
    """Every path that a name stands for; DeviceError names it.  No device is opened."""
    if name.startswith(MOCK_PREFIX):
        return [Place(name, name)]
    from .transport.sysfs import find_nodes

    try:
        if not os.path.isabs(name):
            # The working directory of an agent is whoever's started it.
            raise DeviceError("is not an absolute path; expected /dev/… or mock:FILE")
        nodes = find_nodes(name)
    except DeviceError as error:
        error.where = f"device {name}"
        raise
    # A node that was not named itself was found below or beside the one that was.
    return [
        Place(name, name if node.path == name else f"{node.path} of {name}", node) for node in nodes
    ]


def open_place(place: Place, local_name: str) -> Path:
    """Open one path; DeviceError names it.

    ``local_name`` is the initiator that a simulated LU sees unless the name
    of the device says another.
    """
    try:
        if place.node is not None:
            return _open_node(place, place.node)
        from .transport.mock import MockPath

        mock = MockPath(place.name[len(MOCK_PREFIX) :], local_name)
        nexus = f"{os.path.realpath(mock.file)} {mock.nexus}"
        return Path(place.name, mock, nexus, initiator=mock.initiator)
    except DeviceError as error:
        error.where = f"device {place.name}"
        raise


def _open_node(place: Place, node: Node) -> Path:
    from .transport.sgio import SgIo
    from .transport.sysfs import RUNNING

    state = node.state
    if state != RUNNING:
        raise DeviceError(
            f"its path is {state or 'in no known state'}, not running, so it gets no command;"
            " bring the path back"
        )
    return Path(
        place.name, SgIo(node), node.nexus, node.vendor, node.product, place.listed,
        node.initiator, place.session,
    )  # fmt: skip


def last_identity(place: Place) -> str:
    """The LU that a path leads to, as the kernel read it when it found the device.

    No command is sent.  Empty where the kernel has no such page, or it cannot
    be understood.
    """
    from .scsi.identity import name_of_unit, parse_designators

    if place.node is None:
        return ""
    try:
        page = place.node.identification
        return name_of_unit(parse_designators(page, len(page)))
    except BarrierError:
        return ""  # the error that made somebody ask is the one to tell


def group(
    identified: Iterable[tuple[str, Path]], lost: Sequence[Lost] = ()
) -> list[tuple[Unit, list[Path]]]:
    """(identity, path) pairs to LUs with their paths, in the order of identities.

    Two names of one I_T nexus, such as the block and the sg node of a disk,
    are one path: they share one registration.
    """
    found: dict[str, list[Path]] = {}
    for name, path in identified:
        paths = found.setdefault(name, [])
        if any(known.nexus == path.nexus for known in paths):
            path.close()
        else:
            paths.append(path)
    units = []
    for name, paths in sorted(found.items()):
        if len(paths) > MAX_PATHS_PER_UNIT:
            raise InvalidInput(
                f"LU {name} has {len(paths)} paths, at most {MAX_PATHS_PER_UNIT} are supported"
            )
        ends = tuple((path.nexus, path.listed) for path in paths)
        names = tuple(path.nexus_name for path in paths)
        gone = tuple((each.name, str(each.error)) for each in lost if each.identity == name)
        made = Unit(name, ends, paths[0].vendor, paths[0].product, gone, names)
        units.append((made, paths))
    return units
