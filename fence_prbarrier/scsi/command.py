"""Commands out: values that a procedure yields and a transport carries.

Every multi-byte field is big-endian (SPC-4 4.2.5).
"""

from __future__ import annotations

from . import spc


class Command:
    """One SCSI command: its CDB, its data-out, and how much data-in is expected at most.

    ``patient`` marks a command that may rightly take tens of seconds: it gets
    what is left of the action's time instead of ``command_timeout``.
    """

    __slots__ = ("name", "cdb", "data_out", "data_in_length", "patient")

    def __init__(
        self,
        name: str,
        cdb: bytes,
        data_out: bytes = b"",
        data_in_length: int = 0,
        patient: bool = False,
    ) -> None:
        if data_out and data_in_length:
            raise ValueError(f"{name}: a command moves data one way")
        self.name = name
        self.cdb = cdb
        self.data_out = data_out
        self.data_in_length = data_in_length
        self.patient = patient

    def __repr__(self) -> str:
        return f"<{self.name} {self.cdb.hex(' ')}>"


class LogicalUnitReset:
    """The task management function LOGICAL UNIT RESET (SAM-5 7.7): not a CDB."""

    __slots__ = ()
    name = "LOGICAL UNIT RESET"
    patient = True


class Pause:
    """Let time pass; nothing is sent."""

    __slots__ = ("seconds",)
    name = "pause"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


def _pr_in(name: str, service_action: int, allocation_length: int) -> Command:
    """SPC-4 6.15.1, table 208."""
    if not 8 <= allocation_length <= spc.MAX_ALLOCATION_LENGTH:
        raise ValueError(f"{name}: allocation length {allocation_length} is not 8 to 65535")
    cdb = bytes((spc.PERSISTENT_RESERVE_IN, service_action, 0, 0, 0, 0, 0))
    cdb += allocation_length.to_bytes(2, "big") + b"\0"
    return Command(name, cdb, data_in_length=allocation_length)


def read_keys(allocation_length: int) -> Command:
    """Every registered key, once for each I_T nexus (SPC-4 6.15.2)."""
    return _pr_in("READ KEYS", spc.READ_KEYS, allocation_length)


def read_reservation(allocation_length: int = 24) -> Command:
    """The reservation and its holder's key (SPC-4 6.15.3)."""
    return _pr_in("READ RESERVATION", spc.READ_RESERVATION, allocation_length)


def report_capabilities(allocation_length: int = 8) -> Command:
    """What the LU can do: types, APTPL (SPC-4 6.15.4)."""
    return _pr_in("REPORT CAPABILITIES", spc.REPORT_CAPABILITIES, allocation_length)


def read_full_status(allocation_length: int) -> Command:
    """Every registration with its nexus, and who holds (SPC-4 6.15.5)."""
    return _pr_in("READ FULL STATUS", spc.READ_FULL_STATUS, allocation_length)


def _pr_out(
    name: str,
    service_action: int,
    key: int,
    action_key: int = 0,
    reservation_type: int = 0,
    flags: int = 0,
    patient: bool = False,
) -> Command:
    """SPC-4 6.16.1, tables 221 and 224: RESERVATION KEY, SERVICE ACTION RESERVATION KEY."""
    scope_and_type = spc.SCOPE_LOGICAL_UNIT << 4 | reservation_type
    cdb = bytes((spc.PERSISTENT_RESERVE_OUT, service_action, scope_and_type, 0, 0))
    cdb += spc.PR_OUT_LENGTH.to_bytes(4, "big") + b"\0"
    parameters = key.to_bytes(8, "big") + action_key.to_bytes(8, "big")
    parameters += bytes((0, 0, 0, 0, flags, 0, 0, 0))
    return Command(name, cdb, data_out=parameters, patient=patient)


def _register_flags(aptpl: bool, all_target_ports: bool) -> int:
    return (spc.APTPL_BIT if aptpl else 0) | (spc.ALL_TG_PT_BIT if all_target_ports else 0)


def register(
    key: int, new_key: int, aptpl: bool = False, all_target_ports: bool = False
) -> Command:
    """Change, add (``key`` 0) or remove (``new_key`` 0) this nexus's registration."""
    flags = _register_flags(aptpl, all_target_ports)
    return _pr_out("REGISTER", spc.REGISTER, key, new_key, flags=flags)


def register_and_ignore(new_key: int, aptpl: bool, all_target_ports: bool = False) -> Command:
    """Register whatever this nexus had before; RESERVATION KEY is ignored (SPC-4 5.13.7)."""
    return _pr_out(
        "REGISTER AND IGNORE EXISTING KEY",
        spc.REGISTER_AND_IGNORE_EXISTING_KEY,
        0,
        new_key,
        flags=_register_flags(aptpl, all_target_ports),
    )


def reserve(key: int, reservation_type: int = spc.WRITE_EXCLUSIVE_REGISTRANTS_ONLY) -> Command:
    """SPC-4 5.13.9."""
    return _pr_out("RESERVE", spc.RESERVE, key, reservation_type=reservation_type)


def release(key: int, reservation_type: int = spc.WRITE_EXCLUSIVE_REGISTRANTS_ONLY) -> Command:
    """SPC-4 5.13.11.2.2.  Never sent by a fence action (rule 6)."""
    return _pr_out("RELEASE", spc.RELEASE, key, reservation_type=reservation_type)


def clear(key: int) -> Command:
    """SPC-4 5.13.11.2.7.  Never sent by a fence action (rule 6)."""
    return _pr_out("CLEAR", spc.CLEAR, key)


def preempt(
    key: int, victim: int, reservation_type: int = spc.WRITE_EXCLUSIVE_REGISTRANTS_ONLY
) -> Command:
    """Remove every registration that bears ``victim`` (SPC-4 5.13.11.2.4)."""
    return _pr_out("PREEMPT", spc.PREEMPT, key, victim, reservation_type)


def preempt_and_abort(
    key: int, victim: int, reservation_type: int = spc.WRITE_EXCLUSIVE_REGISTRANTS_ONLY
) -> Command:
    """PREEMPT, and abort the commands of the preempted nexuses (SPC-4 5.13.11.2.6)."""
    return _pr_out(
        "PREEMPT AND ABORT",
        spc.PREEMPT_AND_ABORT,
        key,
        victim,
        reservation_type,
        patient=True,
    )


def synchronize_cache() -> Command:
    """Of one block, and answered when that is done (SBC-3 5.22); changes no data."""
    cdb = bytes((spc.SYNCHRONIZE_CACHE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0))
    return Command("SYNCHRONIZE CACHE", cdb, patient=True)


def inquiry(allocation_length: int = 96) -> Command:
    """Standard INQUIRY data (SPC-4 6.6.1)."""
    cdb = bytes((spc.INQUIRY, 0, 0)) + allocation_length.to_bytes(2, "big") + b"\0"
    return Command("INQUIRY", cdb, data_in_length=allocation_length)


def inquiry_vpd(page: int, allocation_length: int = 255) -> Command:
    """A vital product data page (SPC-4 6.6.1, EVPD set)."""
    cdb = bytes((spc.INQUIRY, 1, page)) + allocation_length.to_bytes(2, "big") + b"\0"
    return Command(f"INQUIRY VPD {page:02X}h", cdb, data_in_length=allocation_length)


def test_unit_ready() -> Command:
    """SPC-4 6.47.  Takes a pending unit attention away: no procedure of the barrier sends it."""
    return Command("TEST UNIT READY", bytes(6))


def _transfer(
    name: str, opcode: int, block: int, blocks: int, data_out: bytes, block_bytes: int
) -> Command:
    wide = opcode in (spc.READ_16, spc.WRITE_16)
    if not 0 <= block < 1 << (64 if wide else 32) or not 0 < blocks < 1 << (32 if wide else 16):
        raise ValueError(f"{name}: block {block}, {blocks} blocks do not fit the CDB")
    if wide:
        cdb = bytes((opcode, 0)) + block.to_bytes(8, "big") + blocks.to_bytes(4, "big") + bytes(2)
    else:
        cdb = bytes((opcode, 0)) + block.to_bytes(4, "big") + b"\0"
        cdb += blocks.to_bytes(2, "big") + b"\0"
    return Command(name, cdb, data_out, 0 if data_out else blocks * block_bytes)


def read_10(block: int, blocks: int = 1, block_bytes: int = 512) -> Command:
    """SBC-3 5.8; for tests and demonstration."""
    return _transfer("READ(10)", spc.READ_10, block, blocks, b"", block_bytes)


def read_16(block: int, blocks: int = 1, block_bytes: int = 512) -> Command:
    """SBC-3 5.10; for tests and demonstration."""
    return _transfer("READ(16)", spc.READ_16, block, blocks, b"", block_bytes)


def write_10(block: int, data: bytes, block_bytes: int = 512) -> Command:
    """SBC-3 5.32; for tests and demonstration.  ``data`` is whole blocks."""
    blocks = _whole_blocks("WRITE(10)", data, block_bytes)
    return _transfer("WRITE(10)", spc.WRITE_10, block, blocks, data, block_bytes)


def write_16(block: int, data: bytes, block_bytes: int = 512) -> Command:
    """SBC-3 5.34; for tests and demonstration.  ``data`` is whole blocks."""
    blocks = _whole_blocks("WRITE(16)", data, block_bytes)
    return _transfer("WRITE(16)", spc.WRITE_16, block, blocks, data, block_bytes)


def _whole_blocks(name: str, data: bytes, block_bytes: int) -> int:
    if not data or len(data) % block_bytes:
        raise ValueError(f"{name}: {len(data)} bytes are not whole blocks of {block_bytes}")
    return len(data) // block_bytes
