"""What bytes mean, in words, for people: commands and the keys in them."""

from __future__ import annotations

from .errors import InvalidInput
from .key import Key, owner_of
from .scsi import spc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_IN_ACTIONS = {
    spc.READ_KEYS: "READ KEYS: which keys are registered?",
    spc.READ_RESERVATION: "READ RESERVATION: what is reserved, by whom?",
    spc.REPORT_CAPABILITIES: "REPORT CAPABILITIES: what can this LU do?",
    spc.READ_FULL_STATUS: "READ FULL STATUS: who is registered, on which nexus, and who holds?",
}
_OUT_ACTIONS = {
    spc.REGISTER: "REGISTER",
    spc.RESERVE: "RESERVE",
    spc.RELEASE: "RELEASE",
    spc.CLEAR: "CLEAR",
    spc.PREEMPT: "PREEMPT",
    spc.PREEMPT_AND_ABORT: "PREEMPT AND ABORT",
    spc.REGISTER_AND_IGNORE_EXISTING_KEY: "REGISTER AND IGNORE EXISTING KEY",
}
_WITH_TYPE = (spc.RESERVE, spc.RELEASE, spc.PREEMPT, spc.PREEMPT_AND_ABORT)
_OTHERS = {
    spc.TEST_UNIT_READY: "TEST UNIT READY",
    spc.READ_10: "READ(10)",
    spc.READ_16: "READ(16)",
    spc.WRITE_10: "WRITE(10)",
    spc.WRITE_16: "WRITE(16)",
}


def explain_command(
    cdb: bytes, data_out: bytes = b"", name_of: Callable[[int], str] = str
) -> list[str]:
    """Lines of text for a CDB and its parameters; ``name_of`` names a node number."""
    if len(cdb) < 6:
        return [f"{len(cdb)} bytes are not a CDB"]
    opcode = cdb[0]
    if opcode == spc.INQUIRY:
        page = f", vital product data page {cdb[2]:02X}h" if cdb[1] & 1 else ""
        return [f"{opcode:02X}h INQUIRY{page}: who are you?"]
    if opcode == spc.PERSISTENT_RESERVE_IN:
        action = cdb[1] & 0x1F
        return [f"{opcode:02X}h PERSISTENT RESERVE IN, {_IN_ACTIONS.get(action, hex(action))}"]
    if opcode == spc.PERSISTENT_RESERVE_OUT:
        return _explain_out(cdb, data_out, name_of)
    return [f"{opcode:02X}h {_OTHERS.get(opcode, 'a command that this project does not send')}"]


def _explain_out(cdb: bytes, data_out: bytes, name_of: Callable[[int], str]) -> list[str]:
    action = cdb[1] & 0x1F
    lines = [f"5Fh PERSISTENT RESERVE OUT, {_OUT_ACTIONS.get(action, hex(action))}"]
    if action in _WITH_TYPE:
        name = spc.TYPE_NAMES.get(cdb[2] & 0x0F, "unknown type")
        lines.append(f"byte 2: scope {cdb[2] >> 4} (LU), type {cdb[2] & 0x0F} ({name})")
    if len(data_out) == spc.PR_OUT_LENGTH:
        lines.append(f"RESERVATION KEY                {_key(data_out[0:8], name_of)}")
        lines.append(f"SERVICE ACTION RESERVATION KEY {_key(data_out[8:16], name_of)}")
        if data_out[20] & spc.APTPL_BIT:
            lines.append("APTPL: keep registrations through a loss of power")
    return lines


def _key(field: bytes, name_of: Callable[[int], str]) -> str:
    value = int.from_bytes(field, "big")
    return "0 (none)" if not value else explain_key(Key(value), name_of)


def explain_key(key: Key, name_of: Callable[[int], str] = str) -> str:
    """A key of this project's making in words, or whose it seems to be."""
    try:
        Key.build(key.tag, key.node, key.incarnation)
    except InvalidInput:
        return owner_of(key)
    return (
        f"{key} = cluster {key.tag:04x}, node {name_of(key.node)}, incarnation"
        f" {key.incarnation:08x}"
    )
