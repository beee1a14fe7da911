"""Targets: everything that a logical unit sends.

An input is an allocation length of two bytes, then the reply.
"""

from __future__ import annotations

from typing import Any, Callable

from fence_prbarrier.errors import ProtocolError, Truncated
from fence_prbarrier.scsi import command, identity, outcome, reply
from fence_prbarrier.scsi.sense import parse_sense
from fence_prbarrier.scsi.transport_id import describe_transport_id

from . import oracle
from .checks import Refused, agree, attempt, require

NEITHER = (b"", b"\0", b"\0" * 4, b"\xff" * 8)


def _split(data: bytes) -> tuple[bytes, int]:
    return data[2:], int.from_bytes(data[:2], "big")


def _parse(parse: Callable[[bytes, int], Any], octets: bytes, room: int) -> Any:
    """The result, or Refused; Truncated only where the target declares more than there was room."""
    got = attempt(lambda: parse(octets, room), ProtocolError)
    if isinstance(got, Refused) and isinstance(got.error, Truncated):
        require(got.error.needed > room, "Truncated although it fits", got.error, room)
    return got


def sense(data: bytes) -> None:
    """Sense data, as it came with a CHECK CONDITION."""
    got = attempt(lambda: parse_sense(data), ProtocolError)
    if not isinstance(got, Refused):
        require(str(got).isprintable(), "sense in words is not one line", str(got))
        got = (got.key, got.asc, got.ascq, got.deferred)
    agree(got, oracle.sense(data), "sense")


def read_keys(data: bytes) -> None:
    octets, room = _split(data)
    got = _parse(reply.parse_read_keys, octets, room)
    agree(got, oracle.keys(octets, room), "READ KEYS")
    if not isinstance(got, Refused):
        generation, keys = got
        body = b"".join(int(key).to_bytes(8, "big") for key in keys)
        again = generation.to_bytes(4, "big") + len(body).to_bytes(4, "big") + body
        require(octets == again.ljust(len(octets), b"\0"), "not what the bytes say", got, octets)
        # No part of a list is a list: cut anywhere, it is refused.
        for cut in range(len(again)):
            short = _parse(reply.parse_read_keys, again[:cut], room)
            require(isinstance(short, Refused), f"cut to {cut} bytes it is accepted", again)


def _held(held: Any) -> oracle.Held | None:
    return None if held is None else (int(held.key or 0), held.scope, held.type)


def read_reservation(data: bytes) -> None:
    octets, room = _split(data)
    got = _parse(reply.parse_read_reservation, octets, room)
    if not isinstance(got, Refused):
        got = (got[0], _held(got[1]))
    agree(got, oracle.reservation(octets, room), "READ RESERVATION")


def full_status(data: bytes) -> None:
    octets, room = _split(data)
    got = _parse(reply.parse_read_full_status, octets, room)
    expected = oracle.full_status(octets, room)
    if isinstance(got, Refused) or expected is None:
        agree(got, expected, "READ FULL STATUS")
        return
    generation, registrations = got
    plain = tuple(
        (int(each.key), each.holder, each.all_target_ports, each.port, _held(each.reservation))
        for each in registrations
    )
    agree((generation, plain), (expected[0], tuple(each[:5] for each in expected[1])), "full")
    for mine, theirs in zip(registrations, expected[1]):
        name = oracle.initiator(theirs.transport_id)
        require(name in mine.initiator, "not the initiator of the bytes", mine.initiator, theirs)
    length = 8 + int.from_bytes(octets[4:8], "big")
    for cut in {length - 1, length // 2, 8, 7} - {length}:
        short = _parse(reply.parse_read_full_status, octets[:cut], room)
        require(isinstance(short, Refused), f"cut to {cut} bytes it is accepted", octets)


def transport_id(data: bytes) -> None:
    """Words for any TransportID that is long enough to be one."""
    if len(data) >= 24:
        require(describe_transport_id(data), "an initiator without any name", data)


def capabilities(data: bytes) -> None:
    octets, room = _split(data)
    got = _parse(reply.parse_capabilities, octets, room)
    if not isinstance(got, Refused):
        got = (got.aptpl_capable, got.aptpl_active, got.all_target_ports, got.types)
    agree(got, oracle.capabilities(octets), "REPORT CAPABILITIES")


def inquiry(data: bytes) -> None:
    got = attempt(lambda: identity.parse_inquiry(data), ProtocolError)
    whole = len(data) >= 36 and data[4] >= 31
    agree(isinstance(got, Refused) or None, None if whole else True, "standard INQUIRY")
    if whole:
        require((got.qualifier, got.device_type) == divmod(data[0], 32), "first byte", data)
        for text, field in ((got.vendor, data[8:16]), (got.product, data[16:32])):
            plain = field.isascii() and not field.endswith((b" ", b"\0"))
            require(not plain or text.encode() == field, "not the field", text, field)


def vpd_pages(data: bytes) -> None:
    """Pages 00h and 80h."""
    octets, room = _split(data)
    pages = _parse(identity.parse_supported_pages, octets, room)
    body = oracle.vpd(0x00, octets, room)
    agree(pages, None if body is None else tuple(body), "VPD 00h")
    serial = _parse(identity.parse_serial_number, octets, room)
    body = oracle.vpd(0x80, octets, room)
    agree(isinstance(serial, Refused), body is None, "VPD 80h")
    if body is not None and body.isalnum():
        require(serial.encode() == body, "not the serial number", serial, body)


def vpd_83(data: bytes) -> None:
    """The identity of a LU: of those that are told, one, and the same in any order."""
    octets, room = _split(data)
    got = _parse(identity.parse_designators, octets, room)
    expected = oracle.designators(octets, room)
    if isinstance(got, Refused) or expected is None:
        agree(got, expected, "VPD 83h")
        return
    plain = tuple((each.type, each.association, each.code_set, each.value) for each in got)
    agree(plain, expected, "VPD 83h")
    name = attempt(lambda: identity.name_of_unit(got), ProtocolError)
    again = attempt(lambda: identity.name_of_unit(tuple(reversed(got))), ProtocolError)
    usable = any(kind in (1, 2, 3) and not of and any(value) for kind, of, _, value in expected)
    require(isinstance(name, Refused) != usable, "a name where there is none, or none", plain)
    if usable:
        require(name == again, "the order of designators changes the identity", name, again)
        require(name.isascii() and name.isprintable() and " " not in name, "no word", name)
        values = [value.hex() for kind, of, _, value in expected if kind in (2, 3) and not of]
        told = name.startswith("t10.") or name.partition(".")[2] in values
        require(told, "an identity that no designator bears", name, plain)
    port = identity.relative_target_port(got)
    require(port is None or 0 < port < 1 << 16, "no port number", port)


def completion(data: bytes) -> None:
    """Any host, driver and SCSI status, residual, sense and data: good only where all say so."""
    if len(data) < 8:
        return
    host, driver, status, sense_length, kind = data[0], data[1], data[2], data[3] % 64, data[4]
    residual = int.from_bytes(data[5:7], "big", signed=True)
    sent, came = data[7 : 7 + sense_length], data[7 + sense_length :]
    action: Any = (command.read_keys(64), command.reserve(1), command.LogicalUnitReset())[kind % 3]
    got = outcome.classify(
        action, outcome.Completion(status, sent, came, residual, host & 0x1F, driver & 0x1F)
    )
    require(got.detail.isprintable(), "an outcome that is not one line", got.detail)
    if not got.good:
        require(got.data == b"", "data of a command that did not end well", got)
        return
    told = oracle.sense(sent)
    sensed = driver & 0x0F == 8 or status == 2
    require(host & 0x1F == 0 and driver & 0x0F in (0, 8), "good by a transport error", data)
    require(status in (0, 2), "good by its status", data)
    recovered = told is not None and told[0] == 1 and not told[3]
    require(not sensed or recovered, "good although sense says otherwise", told)
    whole = residual == 0 or not getattr(action, "data_out", b"")
    require(whole, "good although parameters were not taken", residual)
    require(got.data == came[: len(came) - residual], "not the data that came", got.data, came)
