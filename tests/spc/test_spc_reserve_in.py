"""PERSISTENT RESERVE IN byte for byte: SPC-4 6.15, 7.6.4. The bytes are typed by hand."""

from __future__ import annotations

import pytest

from fence_prbarrier.simulator.unit import LogicalUnit
from fence_prbarrier.simulator.values import Nexus

from .wire import (
    ABORT,
    IGNORE,
    READ_FULL_STATUS,
    READ_KEYS,
    READ_RESERVATION,
    REGISTER,
    REPORT_CAPABILITIES,
    RESERVE,
    TEST_UNIT_READY,
    WEAR,
    WERO,
    A,
    data_of,
    out,
    outcome,
    run,
)

FIRST = Nexus("iqn.a:1", "00023d000001", 1)
SECOND = Nexus("iqn.a:22", "80123456789a", 0x0203)

# TransportIDs. `iqn.a:1,i,0x00023d000001` has 24 characters, a NUL after them makes 25, so 28.
ID_FIRST = bytes.fromhex(
    "45 00 00 1c69 71 6e 2e 61 3a 31 2c 69 2c 30 78 30 30 30 32 33 64 30 30 30 30 30 3100 00 00 00"
)
ID_SECOND = bytes.fromhex(
    "45 00 00 1c69 71 6e 2e 61 3a 32 32 2c 69 2c 30 78 38 30 31 32 33 34 35 36 37 38 39 6100 00 00"
)


def _two_registered(kind: int = WERO) -> LogicalUnit:
    unit = LogicalUnit()
    assert out(unit, FIRST, IGNORE, 0, 0x0102030405060708) == "good"
    assert out(unit, SECOND, REGISTER, 0, 0x1112131415161718) == "good"
    if kind:
        assert out(unit, FIRST, RESERVE, 0x0102030405060708, kind=kind) == "good"
    return unit


def test_6_15_2_read_keys() -> None:
    unit = LogicalUnit()
    assert data_of(unit, FIRST, READ_KEYS) == bytes.fromhex("00000000 00000000")
    assert data_of(_two_registered(), FIRST, READ_KEYS) == bytes.fromhex(
        "00000002 00000010 0102030405060708 1112131415161718"
    )


def test_6_15_2_a_key_stands_there_once_for_each_registration() -> None:
    unit = _two_registered()
    assert out(unit, SECOND, IGNORE, 0, 0x0102030405060708) == "good"
    assert data_of(unit, FIRST, READ_KEYS) == bytes.fromhex(
        "00000003 00000010 0102030405060708 0102030405060708"
    )


@pytest.mark.parametrize("length", [0, 4, 8, 12, 16, 23, 24, 100])
def test_6_15_2_the_additional_length_is_not_altered_by_the_allocation_length(
    length: int,
) -> None:
    unit = _two_registered()
    whole = bytes.fromhex("00000002 00000010 0102030405060708 1112131415161718")
    cdb = bytes.fromhex("5e 00 00 00 00 00 00 00") + bytes((length, 0))
    assert data_of(unit, FIRST, cdb) == whole[:length]


@pytest.mark.parametrize("room", [0, 8, 20])
def test_4_2_5_6_data_is_cut_at_the_initiators_buffer(room: int) -> None:
    unit = _two_registered()
    whole = bytes.fromhex("00000002 00000010 0102030405060708 1112131415161718")
    assert unit.command(FIRST, READ_KEYS, b"", room).data == whole[:room]


def test_6_15_3_read_reservation() -> None:
    unit = _two_registered(kind=0)
    assert data_of(unit, FIRST, READ_RESERVATION) == bytes.fromhex("00000002 00000000")
    assert data_of(_two_registered(), FIRST, READ_RESERVATION) == bytes.fromhex(
        "00000002 00000010 0102030405060708 00000000 00 05 0000"
    )
    assert data_of(_two_registered(WEAR), FIRST, READ_RESERVATION) == bytes.fromhex(
        "00000002 00000010 0000000000000000 00000000 00 07 0000"
    )


@pytest.mark.parametrize(
    ("aptpl", "all_tg_pt", "flags", "expected"),
    [
        (True, True, 0, "0008 05 80 ea 01 0000"),
        (True, True, 1, "0008 05 81 ea 01 0000"),
        (True, False, 1, "0008 01 81 ea 01 0000"),
        (False, True, 0, "0008 04 80 ea 01 0000"),
        (False, False, 0, "0008 00 80 ea 01 0000"),
    ],
)
def test_6_15_4_report_capabilities(
    aptpl: bool, all_tg_pt: bool, flags: int, expected: str
) -> None:
    unit = LogicalUnit(aptpl=aptpl, all_tg_pt=all_tg_pt)
    assert out(unit, A, REGISTER, 0, 1, flags=flags) == "good"
    assert data_of(unit, A, REPORT_CAPABILITIES) == bytes.fromhex(expected)


def test_6_15_5_read_full_status() -> None:
    assert data_of(LogicalUnit(), FIRST, READ_FULL_STATUS) == bytes(8)
    expected = (
        bytes.fromhex("00000002 00000070")
        + bytes.fromhex("0102030405060708 00000000 01 05 00000000 0001 00000020")
        + ID_FIRST
        + bytes.fromhex("1112131415161718 00000000 00 00 00000000 0203 00000020")
        + ID_SECOND
    )
    assert data_of(_two_registered(), FIRST, READ_FULL_STATUS) == expected


def test_6_15_5_every_registrant_holds_an_all_registrants_type() -> None:
    data = data_of(_two_registered(WEAR), FIRST, READ_FULL_STATUS)
    assert [data[8 + 12], data[8 + 13]] == [0x01, 0x07]
    assert [data[64 + 12], data[64 + 13]] == [0x01, 0x07]


def test_6_15_5_all_tg_pt() -> None:
    unit = LogicalUnit()
    assert out(unit, SECOND, REGISTER, 0, 0x1112131415161718, flags=4) == "good"
    assert (
        data_of(unit, SECOND, READ_FULL_STATUS)
        == bytes.fromhex("00000001 00000038 1112131415161718 00000000 02 00 00000000 0000 00000020")
        + ID_SECOND
    )


def test_6_15_5_the_additional_length_is_not_altered_by_the_allocation_length() -> None:
    unit = _two_registered()
    whole = data_of(unit, FIRST, READ_FULL_STATUS)
    for length in (8, 31, 32, 64, 65, 119, 120):
        cdb = bytes.fromhex("5e 03 00 00 00 00 00 00") + bytes((length, 0))
        assert data_of(unit, FIRST, cdb) == whole[:length]


@pytest.mark.parametrize("characters", [1, 2, 3, 4, 5, 200, 223])
def test_7_6_4_the_iscsi_name_is_terminated_and_padded_to_four(characters: int) -> None:
    nexus = Nexus("n" * characters)
    unit = LogicalUnit()
    assert out(unit, nexus, REGISTER, 0, 1) == "good"
    name = data_of(unit, nexus, READ_FULL_STATUS)[8 + 24 + 4 :]
    text = b"n" * characters + b",i,0x00023d000001"
    assert len(name) % 4 == 0 and len(name) >= 20
    assert name[: len(text)] == text
    assert name[len(text) :].strip(b"\0") == b"" and len(name) > len(text)
    assert len(name) - len(text) <= 4 or len(name) == 20


@pytest.mark.parametrize("action", range(4, 32))
def test_6_15_1_reserved_service_actions_are_24h(action: int) -> None:
    cdb = bytes((0x5E, action, 0, 0, 0, 0, 0, 1, 0, 0))
    assert run(LogicalUnit(), A, cdb) == "5/24/00"


@pytest.mark.parametrize("at", [2, 3, 4, 5, 6])
def test_6_15_1_reserved_cdb_bytes_are_24h(at: int) -> None:
    cdb = bytearray(READ_KEYS)
    cdb[at] = 1
    assert run(LogicalUnit(), A, bytes(cdb)) == "5/24/00"


def test_5_7_11_5_sense_of_the_loser_byte_for_byte() -> None:
    """4.5.3 fixed and 4.5.2 descriptor format, REGISTRATIONS PREEMPTED."""
    for descriptor, expected in (
        (False, "70 00 06 00000000 0a 00000000 2a 05 00 000000"),
        (True, "72 06 2a 05 00000000"),
    ):
        unit = LogicalUnit(descriptor_sense=descriptor)
        assert out(unit, FIRST, REGISTER, 0, 1) == "good"
        assert out(unit, SECOND, REGISTER, 0, 2) == "good"
        assert out(unit, FIRST, ABORT, 1, 2) == "good"
        response = unit.command(SECOND, TEST_UNIT_READY)
        assert outcome(response) == "6/2a/05"
        assert response.sense == bytes.fromhex(expected)
