"""Device names to paths, and paths to logical units.

Two names of one LU are two paths of it: LUs are told apart by VPD page 83h and
by nothing else.  A name that leads nowhere is an error that names it.
"""

from __future__ import annotations

import os

from .barrier.everywhere import Unit
from .errors import BarrierError, DeviceError, InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .transport import Transport

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
        with open(path, "rb") as file:
            raw = file.read(MAX_DEVICES_FILE_BYTES + 1)
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


class Path:
    """One path: its name, and its transport while it is open.

    ``nexus`` is what two names of one I_T nexus share, and no other nexus of
    this boot; ``vendor`` and ``product`` are empty until they are known.
    ``hung``: a command on it never came back.
    """

    __slots__ = ("name", "transport", "nexus", "vendor", "product", "hung")

    def __init__(
        self, name: str, transport: Transport, nexus: str, vendor: str = "", product: str = ""
    ) -> None:
        self.name = name
        self.transport = transport
        self.nexus = nexus
        self.vendor = vendor
        self.product = product
        self.hung = False

    def close(self) -> None:
        """Give the transport back, unless a thread is still in the kernel with it.

        Its descriptor's number must not become another device's meanwhile; it
        goes with the process.
        """
        if not self.hung:
            self.transport.close()


class Lost:
    """A name that led to no usable path: of which LU, empty if nobody knows, and why."""

    __slots__ = ("name", "identity", "error")

    def __init__(self, name: str, identity: str, error: BarrierError) -> None:
        self.name = name
        self.identity = identity
        self.error = error


def open_path(name: str, local_name: str) -> Path:
    """Open a device by name; DeviceError names it.

    ``local_name`` is the initiator that a simulated LU sees unless the name
    of the device says another.
    """
    try:
        if name.startswith(MOCK_PREFIX):
            from .transport.mock import MockPath

            mock = MockPath(name[len(MOCK_PREFIX) :], local_name)
            return Path(name, mock, f"{os.path.realpath(mock.file)} {mock.nexus}")
        return _open_node(name)
    except DeviceError as error:
        error.where = f"device {name}"
        raise


def _open_node(name: str) -> Path:
    from .transport.sgio import SgIo
    from .transport.sysfs import RUNNING, find_node

    if not os.path.isabs(name):
        # The working directory of an agent is whoever's started it.
        raise DeviceError("is not an absolute path; expected /dev/… or mock:FILE")
    node = find_node(name)
    state = node.state
    if state != RUNNING:
        raise DeviceError(
            f"its path is {state or 'in no known state'}, not running, so it gets no command;"
            " bring the path back"
        )
    return Path(name, SgIo(node), node.nexus, node.vendor, node.product)


def last_identity(name: str) -> str:
    """The LU that a name leads to, as the kernel read it when it found the device.

    No command is sent.  Empty where the kernel has no device of that name, or
    its page cannot be understood.
    """
    from .scsi.identity import name_of_unit, parse_designators
    from .transport.sysfs import find_node

    if name.startswith(MOCK_PREFIX) or not os.path.isabs(name):
        return ""
    try:
        page = find_node(name).identification
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
        ends = tuple((path.nexus, path.name) for path in paths)
        gone = tuple((each.name, str(each.error)) for each in lost if each.identity == name)
        units.append((Unit(name, ends, paths[0].vendor, paths[0].product, gone), paths))
    return units
