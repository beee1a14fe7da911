"""A path to a simulated LU in a file: ``mock:FILE?initiator=NAME&port=N&profile=P``.

``initiator`` (this node's name unless given) and ``port`` (relative target
port, 1) make the I_T nexus, so one machine can play several nodes with several
paths.  ``profile`` creates the file if it is not there; without it a missing
file is an error.
"""

from __future__ import annotations

import os
import stat

from ..errors import DeviceError, quoted
from ..scsi.outcome import Completion
from ..simulator import store
from ..simulator.values import Nexus, SimulatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..scsi.command import Command
    from ..simulator.values import Response

INITIATOR_PREFIX = "iqn.2003-08.example.mock:"
DID_TIME_OUT = 0x03
MAX_PORT_DIGITS = 5
OPTIONS = ("initiator", "port", "profile")


class MockPath:
    """One I_T nexus to the LU in a file."""

    __slots__ = ("file", "nexus")

    def __init__(self, name: str, local_name: str) -> None:
        self.file, options = _split(name)
        if not os.path.isabs(self.file):
            raise DeviceError("is not an absolute path; expected mock:/PATH/FILE")
        initiator = options.get("initiator", local_name)
        if not initiator.startswith(("iqn.", "eui.", "naa.")):
            initiator = INITIATOR_PREFIX + initiator
        port = options.get("port", "1")
        try:
            plain = port.isascii() and port.isdigit() and len(port) <= MAX_PORT_DIGITS
            self.nexus = Nexus(initiator, port=int(port) if plain else 0)
            self._require_file(options.get("profile"))
        except SimulatorError as error:
            raise DeviceError(str(error)) from None

    @property
    def initiator(self) -> str:
        """The initiator port as a target's TransportID names it."""
        return f"{self.nexus.initiator},i,0x{self.nexus.isid}"

    def _require_file(self, profile: str | None) -> None:
        try:
            if not stat.S_ISREG(os.stat(self.file).st_mode):
                raise DeviceError("is not a file; expected the file of a simulated LU")
            return
        except FileNotFoundError:
            pass  # made below, if a profile asks for it
        except OSError as error:
            raise DeviceError(f"cannot be looked at: {error.strerror}") from None
        if profile is None:
            raise DeviceError(
                "is not there; make it with python3 -m fence_prbarrier.simulator create FILE,"
                " or name a profile (mock:FILE?profile=spec)"
            )
        from ..simulator.unit import LogicalUnit

        try:
            store.create(self.file, LogicalUnit(profile, serial=_serial_of(self.file)))
        except SimulatorError:
            # Another process may have made it in this very moment.
            if not os.path.isfile(self.file):
                raise

    def execute(self, command: Command, timeout_ms: int) -> Completion:
        """Run one command.  Delayed beyond ``timeout_ms`` it times out, executed all the same."""
        try:
            response = store.command(
                self.file, self.nexus, command.cdb, command.data_out, command.data_in_length
            )
        except SimulatorError as error:
            return Completion(os_error=str(error))
        return _completion(response, timeout_ms)

    def reset(self, timeout_ms: int) -> Completion:
        """LOGICAL UNIT RESET."""
        try:
            response = store.reset(self.file, self.nexus)
        except SimulatorError as error:
            return Completion(os_error=str(error))
        return _completion(response, timeout_ms)

    @property
    def running(self) -> bool:
        """A simulated path is always in a state to get commands."""
        return True

    def close(self) -> None:
        """Nothing stays open between commands."""


def _completion(response: Response, timeout_ms: int) -> Completion:
    late = response.delay_ms > timeout_ms
    return Completion(
        response.status,
        response.sense,
        response.data,
        host=DID_TIME_OUT if late else response.host_status,
    )


def _split(name: str) -> tuple[str, dict[str, str]]:
    file, _, query = name.partition("?")
    options = {}
    for item in query.split("&") if query else ():
        key, equals, value = item.partition("=")
        if key not in OPTIONS or not equals or not value:
            raise DeviceError(
                f"has option {quoted(item)}; expected {', '.join(OPTIONS)}, each =VALUE"
            )
        options[key] = value
    return file, options


def _serial_of(path: str) -> str:
    """A serial number that two files do not share."""
    from binascii import crc32

    real = os.path.realpath(path).encode()
    return f"MOCK{crc32(real):08x}{crc32(real[::-1]):08x}"
