"""INQUIRY and REPORT LUNS (SPC-4 6.6, 6.33, 7.8) and the block commands (SBC-3)."""

from __future__ import annotations

import pytest

from fence_prbarrier.simulator.unit import LogicalUnit
from fence_prbarrier.simulator.values import Nexus

from .wire import (
    BLOCK,
    INQUIRY,
    READ_10,
    READ_16,
    READ_CAPACITY_10,
    READ_CAPACITY_16,
    REPORT_LUNS,
    WRITE_10,
    WRITE_16,
    WRITE_AND_VERIFY_10,
    WRITE_SAME_10,
    WRITE_SAME_16,
    A,
    B,
    data_of,
    run,
)

# --- INQUIRY, SPC-4 6.6, 7.8 ---------------------------------------------------------------------


def test_6_6_2_standard_data() -> None:
    data = data_of(LogicalUnit(), A, INQUIRY)
    assert len(data) == 96
    assert data[:8] == bytes.fromhex("00 00 06 12 5b 00 00 02")
    assert data[8:36] == b"PRBARRIESIMULATED-LU    1   "
    assert not data[36:].strip(b"\0")


def test_7_8_supported_pages_and_serial_number() -> None:
    unit = LogicalUnit(serial="0123abcd")
    assert data_of(unit, A, bytes.fromhex("12 01 00 00 ff 00")) == bytes.fromhex(
        "00 00 0003 00 80 83"
    )
    assert data_of(unit, A, bytes.fromhex("12 01 80 00 ff 00")) == (
        bytes.fromhex("00 80 0008") + b"0123abcd"
    )


def test_7_8_6_device_identification() -> None:
    unit = LogicalUnit(serial="0123abcd")
    data = data_of(unit, Nexus(A.initiator, port=0x0102), bytes.fromhex("12 01 83 00 ff 00"))
    assert data[:4] == bytes.fromhex("00 83 0030")
    # NAA IEEE Registered Extended, binary, associated with the logical unit
    assert data[4:8] == bytes.fromhex("01 03 00 10")
    assert data[8:12].hex()[:7] == "6025042"
    # T10 vendor ID based, ASCII, associated with the logical unit
    assert data[24:44] == bytes.fromhex("02 01 00 10") + b"PRBARRIE0123abcd"
    # Relative target port identifier, binary, iSCSI, associated with the target port
    assert data[44:] == bytes.fromhex("51 94 00 04 0000 0102")


def test_7_8_6_the_serial_decides_the_designator_and_the_port_does_not() -> None:
    page = bytes.fromhex("12 01 83 00 ff 00")

    def naa(serial: str, port: int = 1) -> bytes:
        return data_of(LogicalUnit(serial=serial), Nexus("iqn.a:1", port=port), page)[8:24]

    serials = [f"{number:016x}" for number in range(500)] + ["a", "b", "aa", "x" * 64]
    assert len({naa(serial) for serial in serials}) == len(serials)
    assert naa("a", 1) == naa("a", 2)


@pytest.mark.parametrize(
    "text",
    ["12 00 80 00 ff 00", "12 01 81 00 ff 00", "12 02 00 00 ff 00", "12 01 83 00 ff 04"],
)
def test_6_6_1_bad_inquiry_fields_are_24h(text: str) -> None:
    assert run(LogicalUnit(), A, bytes.fromhex(text)) == "5/24/00"


def test_6_33_report_luns() -> None:
    unit = LogicalUnit()
    assert data_of(unit, A, REPORT_LUNS) == bytes.fromhex("00000008 00000000 0000000000000000")
    well_known = bytes.fromhex("a0 00 01 00 00 00 00 00 00 40 00 00")
    assert data_of(unit, A, well_known) == bytes(8)
    assert run(unit, A, bytes.fromhex("a0 00 03 00 00 00 00 00 00 40 00 00")) == "5/24/00"


# --- Block commands, SBC-3 -----------------------------------------------------------------------


def test_5_15_and_5_16_read_capacity() -> None:
    unit = LogicalUnit(blocks=2048)
    assert data_of(unit, A, READ_CAPACITY_10) == bytes.fromhex("000007ff 00000200")
    assert data_of(unit, A, READ_CAPACITY_16) == (
        bytes.fromhex("00000000000007ff 00000200") + bytes(20)
    )
    big = LogicalUnit(blocks=1 << 33)
    assert data_of(big, A, READ_CAPACITY_10)[:4] == b"\xff\xff\xff\xff"
    assert data_of(big, A, READ_CAPACITY_16)[:8] == bytes.fromhex("00000001ffffffff")


@pytest.mark.parametrize(
    ("write", "blocks"),
    [
        (WRITE_10, 1),
        (WRITE_16, 1),
        (WRITE_AND_VERIFY_10, 1),
        (WRITE_SAME_10, 2),
        (WRITE_SAME_16, 2),
    ],
)
@pytest.mark.parametrize("read", [READ_10, READ_16])
def test_5_x_what_is_written_is_read(write: bytes, blocks: int, read: bytes) -> None:
    unit = LogicalUnit()
    assert run(unit, A, write, BLOCK) == "good"
    assert data_of(unit, B, read) == BLOCK
    assert sorted(unit.medium.written) == list(range(5, 5 + blocks))


def test_5_x_several_blocks_in_order() -> None:
    unit = LogicalUnit()
    data = b"a" * 512 + b"b" * 512 + b"c" * 512
    assert run(unit, A, bytes.fromhex("2a 00 00000001 00 0003 00"), data) == "good"
    assert data_of(unit, A, bytes.fromhex("28 00 00000000 00 0005 00")) == (
        bytes(512) + data + bytes(512)
    )


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("28 00 000007ff 00 0001 00", "good"),
        ("28 00 000007ff 00 0002 00", "5/21/00"),
        ("28 00 00000800 00 0000 00", "5/21/00"),
        ("28 00 ffffffff 00 0001 00", "5/21/00"),
        ("28 00 00000000 00 0000 00", "good"),
        ("28 20 00000000 00 0001 00", "5/24/00"),
        ("2a 00 00000000 00 0001 00", "b/4b/00"),
        ("41 08 00000000 00 0001 00", "5/24/00"),
        ("41 00 00000000 00 0000 00", "5/24/00"),
        ("2f 02 00000000 00 0001 00", "5/24/00"),
        ("9e 11 0000000000000000 00000020 00 00", "5/24/00"),
        ("15 00 00 00 00 00", "5/20/00"),
        ("ff", "5/20/00"),
        ("16 00 00 00 00 00", "5/20/00"),
    ],
)
def test_5_x_bad_fields(text: str, answer: str) -> None:
    assert run(LogicalUnit(), A, bytes.fromhex(text)) == answer


def test_5_x_a_write_that_is_refused_writes_nothing() -> None:
    unit = LogicalUnit(blocks=4)
    assert run(unit, A, bytes.fromhex("2a 00 00000002 00 0003 00"), BLOCK * 3) == "5/21/00"
    assert run(unit, A, bytes.fromhex("2a 00 00000000 00 0002 00"), BLOCK) == "b/4b/00"
    assert not unit.medium.written
