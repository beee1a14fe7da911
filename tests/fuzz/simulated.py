"""Targets: the file of a simulated LU, and faults in words.

The first byte of an input says what the rest is: even, lines under which the
right last line is put; odd, the whole file as it is.
"""

from __future__ import annotations

import re
from binascii import crc32

from fence_prbarrier.simulator.faults import parse_fault
from fence_prbarrier.simulator.textform import dump, load
from fence_prbarrier.simulator.values import Nexus, SimulatorError

from .checks import Refused, attempt, require

# One of each kind that the barrier sends, and a write, a read, a synchronise; with its data.
PARAMETERS = (0x5A170001_00000001).to_bytes(8, "big") + (0x5A170002_00000001).to_bytes(8, "big")
COMMANDS = (
    ("5e 00 00 00 00 00 00 02 00 00", b""),
    ("5e 01 00 00 00 00 00 02 00 00", b""),
    ("5e 02 00 00 00 00 00 02 00 00", b""),
    ("5e 03 00 00 00 00 00 02 00 00", b""),
    ("5f 06 00 00 00 00 00 00 18 00", PARAMETERS + bytes(8)),
    ("5f 01 05 00 00 00 00 00 18 00", PARAMETERS + bytes(8)),
    ("5f 05 05 00 00 00 00 00 18 00", PARAMETERS + bytes(8)),
    ("2a 00 00 00 00 00 00 00 01 00", bytes(512)),
    ("28 00 00 00 00 00 00 00 01 00", b""),
    ("12 01 83 04 00 00", b""),
)


def _file(data: bytes) -> bytes:
    body = data[1:]
    if data[:1] and data[0] % 2:
        return body
    return body + b"end %d crc32 %08x\n" % (body.count(b"\n"), crc32(body))


def mock_file(data: bytes) -> None:
    """A file that is read is a LU that can be written again, the same, and that answers."""
    content = _file(data)
    unit = attempt(lambda: load(content), SimulatorError)
    if isinstance(unit, Refused):
        return
    body, _, end = content.rpartition(b"end ")
    require(end.endswith(b" crc32 %08x\n" % crc32(body)), "read without its checksum", content)
    first = dump(unit)
    require(dump(load(first)) == first, "written and read, it is another LU", content, first)
    require(not re.search(rb"^registration \d+ 0+ ", body, re.MULTILINE), "key zero", content)
    for key in (b"registration", b"block", b"task", b"nexus"):
        require(first.count(b"\n" + key) == body.count(b"\n" + key), f"{key!r} lost", content)
    for cut in (len(content) - 1, len(content) // 2, len(content) * 3 // 4):
        require(
            isinstance(attempt(lambda: load(content[:cut]), SimulatorError), Refused),  # noqa: B023
            f"cut to {cut} bytes it is read",
            content,
        )
    nexuses = [*unit.attentions, Nexus("iqn.2003-08.example:other")]
    for nexus in nexuses[:3]:
        for cdb, data_out in COMMANDS:
            attempt(lambda: unit.command(nexus, bytes.fromhex(cdb), data_out, 512), SimulatorError)  # noqa: B023
        attempt(lambda: unit.reset(nexus), SimulatorError)  # noqa: B023
    dump(unit)


def fault(data: bytes) -> None:
    """A fault in words says what it does, and reads back as the same."""
    words = data.decode("utf-8", "ignore").split()
    got = attempt(lambda: parse_fault(words), SimulatorError)
    if not isinstance(got, Refused):
        again = parse_fault(str(got).split())
        require(str(again) == str(got), "in words it is another fault", words, str(got))
