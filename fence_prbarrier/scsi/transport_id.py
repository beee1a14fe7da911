"""TransportIDs: the initiator port of a registration, in words (SPC-4 7.6.4)."""

from __future__ import annotations

from . import spc

MINIMUM_BYTES = 24
ISCSI_HEADER_BYTES = 4
ISCSI_FORMATS = (0, 1)
# These are 24 bytes long and no more (SPC-4 7.6.4.2 to 7.6.4.6).
FIXED_LENGTH_PROTOCOLS = (
    spc.PROTOCOL_FIBRE_CHANNEL,
    spc.PROTOCOL_PARALLEL_SCSI,
    spc.PROTOCOL_SBP,
    spc.PROTOCOL_SRP,
    spc.PROTOCOL_SAS,
)


def has_right_length(data: bytes) -> bool:
    """Whether a TransportID is as long as its protocol has it.

    One that is longer may have swallowed the registration after it.
    """
    if len(data) < MINIMUM_BYTES or len(data) % 4:
        return False
    protocol, form = data[0] & 0x0F, data[0] >> 6
    if protocol == spc.PROTOCOL_ISCSI:
        length = ISCSI_HEADER_BYTES + int.from_bytes(data[2:4], "big")
        return form in ISCSI_FORMATS and length == len(data)
    return protocol not in FIXED_LENGTH_PROTOCOLS or len(data) == MINIMUM_BYTES


def describe_transport_id(data: bytes) -> str:
    """The initiator port's name; one of an unknown protocol is shown as hex."""
    protocol, form = data[0] & 0x0F, data[0] >> 6
    if protocol == spc.PROTOCOL_ISCSI and form in ISCSI_FORMATS:
        length = int.from_bytes(data[2:4], "big")
        name = data[4 : 4 + length].split(b"\0", 1)[0]
        return name.decode("utf-8", "backslashreplace") or "iSCSI initiator without a name"
    if protocol == spc.PROTOCOL_FIBRE_CHANNEL:
        return "wwpn." + data[8:16].hex()
    if protocol == spc.PROTOCOL_SAS:
        return "sas." + data[4:12].hex()
    if protocol == spc.PROTOCOL_SRP:
        return "srp." + data[8:24].hex()
    return f"protocol {protocol:X}h " + data.hex()
