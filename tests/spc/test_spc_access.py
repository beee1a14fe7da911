"""Who may do what under a reservation: SPC-4 5.7.1, tables 45 and 46; SBC-3."""

from __future__ import annotations

import pytest

from .wire import (
    ABORT,
    BLOCK,
    CLEAR,
    EA,
    EAAR,
    EARO,
    IGNORE,
    INQUIRY,
    KEY_A,
    KEY_B,
    PREEMPT,
    READ_10,
    READ_16,
    READ_CAPACITY_10,
    READ_CAPACITY_16,
    READ_FULL_STATUS,
    READ_KEYS,
    READ_RESERVATION,
    REGISTER,
    RELEASE,
    REPORT_CAPABILITIES,
    REPORT_LUNS,
    REQUEST_SENSE,
    RESERVE,
    SYNCHRONIZE_CACHE_10,
    TEST_UNIT_READY,
    VERIFY_10,
    WE,
    WEAR,
    WERO,
    WRITE_10,
    WRITE_16,
    WRITE_AND_VERIFY_10,
    WRITE_SAME_10,
    WRITE_SAME_16,
    A,
    B,
    C,
    out,
    run,
    unit_with,
)

READS = [READ_10, READ_16, VERIFY_10]
WRITES = [
    WRITE_10,
    WRITE_16,
    WRITE_AND_VERIFY_10,
    WRITE_SAME_10,
    WRITE_SAME_16,
    SYNCHRONIZE_CACHE_10,
]
ALWAYS = [
    TEST_UNIT_READY,
    REQUEST_SENSE,
    INQUIRY,
    READ_CAPACITY_10,
    READ_CAPACITY_16,
    REPORT_LUNS,
    READ_KEYS,
    READ_RESERVATION,
    REPORT_CAPABILITIES,
    READ_FULL_STATUS,
]

# type: (registered read, registered write, unregistered read, unregistered write)
TABLE = {
    WE: (True, False, True, False),
    EA: (False, False, False, False),
    WERO: (True, True, True, False),
    EARO: (True, True, False, False),
    WEAR: (True, True, True, False),
    EAAR: (True, True, False, False),
}


def _name(cdb: bytes) -> str:
    return f"{cdb[0]:02x}h"


@pytest.mark.parametrize("kind", TABLE)
@pytest.mark.parametrize("cdb", READS, ids=_name)
def test_table_45_reading(kind: int, cdb: bytes) -> None:
    unit = unit_with(A, B, kind=kind)
    registered, _, unregistered, _ = TABLE[kind]
    assert run(unit, A, cdb) == "good"
    assert run(unit, B, cdb) == ("good" if registered else "conflict")
    assert run(unit, C, cdb) == ("good" if unregistered else "conflict")


@pytest.mark.parametrize("kind", TABLE)
@pytest.mark.parametrize("cdb", WRITES, ids=_name)
def test_table_45_writing(kind: int, cdb: bytes) -> None:
    unit = unit_with(A, B, kind=kind)
    _, registered, _, unregistered = TABLE[kind]
    assert run(unit, A, cdb, BLOCK) == "good"
    assert run(unit, B, cdb, BLOCK) == ("good" if registered else "conflict")
    assert run(unit, C, cdb, BLOCK) == ("good" if unregistered else "conflict")


@pytest.mark.parametrize("kind", TABLE)
@pytest.mark.parametrize("cdb", ALWAYS, ids=lambda cdb: cdb[:2].hex())
def test_table_45_allowed_for_all(kind: int, cdb: bytes) -> None:
    unit = unit_with(A, B, kind=kind)
    assert [run(unit, nexus, cdb) for nexus in (A, B, C)] == ["good"] * 3


@pytest.mark.parametrize("cdb", [*READS, *WRITES], ids=_name)
def test_5_7_1_registrations_without_a_reservation_bar_nobody(cdb: bytes) -> None:
    assert run(unit_with(A), C, cdb, BLOCK) == "good"


@pytest.mark.parametrize("kind", TABLE)
@pytest.mark.parametrize(
    ("action", "key", "action_key", "answer"),
    [
        (REGISTER, 0, KEY_B, "good"),
        (IGNORE, 0, KEY_B, "good"),
        (RESERVE, 0, 0, "conflict"),
        (RELEASE, 0, 0, "conflict"),
        (CLEAR, 0, 0, "conflict"),
        (PREEMPT, 0, KEY_A, "conflict"),
        (ABORT, 0, KEY_A, "conflict"),
    ],
)
def test_table_46_service_actions_of_an_unregistered_nexus(
    kind: int, action: int, key: int, action_key: int, answer: str
) -> None:
    unit = unit_with(A, kind=kind)
    assert out(unit, C, action, key, action_key, kind=kind) == answer


@pytest.mark.parametrize("kind", TABLE)
def test_table_45_a_refused_write_leaves_the_medium(kind: int) -> None:
    unit = unit_with(A, kind=kind)
    for cdb in WRITES:
        assert run(unit, C, cdb, BLOCK) == "conflict"
    assert not unit.medium.written


def test_5_7_1_the_check_is_at_acceptance() -> None:
    """A write accepted before the reservation stands is done after; one after is refused."""
    unit = unit_with(A)
    early = unit.submit(C, WRITE_16, BLOCK)
    assert out(unit, A, RESERVE, KEY_A, kind=WERO) == "good"
    late = unit.submit(C, WRITE_16, bytes(512))
    refused = unit.complete(late)
    assert refused is not None and refused.status == 0x18
    done = unit.complete(early)
    assert done is not None and done.status == 0
    assert unit.medium.read(5) == BLOCK
