"""TransportIDs: the initiator port of a registration, in words (SPC-4 7.6.4)."""

from __future__ import annotations

from . import spc


def describe_transport_id(data: bytes) -> str:
    """The initiator port's name.  An unknown or odd TransportID is shown as hex.

    For people only: no decision of the barrier rests on it, so it never raises.
    """
    if not data:
        return "no TransportID"
    protocol, form = data[0] & 0x0F, data[0] >> 6
    if protocol == spc.PROTOCOL_ISCSI and form in (0, 1):
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
