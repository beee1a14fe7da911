"""Unit attentions, tasks, resets, power: SAM-5 5.14, 6.3.3, SPC-4 5.7.5, 6.39."""

from __future__ import annotations

import pytest

from fence_prbarrier.simulator.unit import MAX_TASKS, LogicalUnit
from fence_prbarrier.simulator.values import Nexus, SimulatorError

from .wire import (
    ABORT,
    BLOCK,
    CLEAR,
    IGNORE,
    INQUIRY,
    KEY_A,
    KEY_B,
    KEY_C,
    PREEMPT,
    READ_10,
    READ_16,
    READ_KEYS,
    REPORT_LUNS,
    REQUEST_SENSE,
    RESERVE,
    TEST_UNIT_READY,
    WERO,
    WRITE_10,
    WRITE_16,
    A,
    B,
    C,
    attentions,
    data_of,
    keys,
    out,
    outcome,
    reservation,
    run,
    unit_with,
)

# --- Unit attentions, SAM-5 5.14 -----------------------------------------------------------------


def test_5_14_reported_once_each_in_order() -> None:
    unit = unit_with(A, B, kind=WERO)
    assert out(unit, A, ABORT, KEY_A, KEY_B) == "good"
    assert unit.reset(A).status == 0
    assert run(unit, B, TEST_UNIT_READY) == "6/2a/05"
    assert run(unit, B, READ_KEYS) == "6/29/03"
    assert run(unit, B, TEST_UNIT_READY) == "good"


def test_5_14_one_that_is_pending_is_not_queued_again() -> None:
    unit = unit_with(A)
    unit.reset(B)
    unit.reset(B)
    assert attentions(unit, A) == ["6/29/03"]


def test_5_14_a_nexus_that_is_new_has_nothing_pending() -> None:
    unit = unit_with(A)
    unit.reset(A)
    assert attentions(unit, C) == []


def test_5_14_the_command_that_reports_one_is_not_executed() -> None:
    unit = unit_with(A)
    unit.reset(B)
    assert run(unit, A, WRITE_10, BLOCK) == "6/29/03"
    assert not unit.medium.written
    assert out(unit, A, RESERVE, KEY_A, kind=WERO) == "good"


@pytest.mark.parametrize("cdb", [INQUIRY, REPORT_LUNS], ids=["inquiry", "report luns"])
def test_spc4_5_14_inquiry_and_report_luns_leave_them_pending(cdb: bytes) -> None:
    unit = unit_with(A)
    unit.reset(B)
    assert run(unit, A, cdb) == "good"
    assert attentions(unit, A) == ["6/29/03"]


@pytest.mark.parametrize(
    ("desc", "first", "second"),
    [
        (
            0,
            "70 00 06 00000000 0a 00000000 29 03 00 000000",
            "70 00 00 00000000 0a 00000000 00 00 00 000000",
        ),
        (1, "72 06 29 03 00000000", "72 00 00 00 00000000"),
    ],
)
def test_6_39_request_sense_returns_one_as_data(desc: int, first: str, second: str) -> None:
    unit = unit_with(A)
    unit.reset(B)
    cdb = bytes((0x03, desc, 0, 0, 0xFC, 0))
    assert data_of(unit, A, cdb) == bytes.fromhex(first)
    assert data_of(unit, A, cdb) == bytes.fromhex(second)
    assert attentions(unit, A) == []


def test_6_39_request_sense_is_cut_at_its_allocation_length() -> None:
    assert len(data_of(LogicalUnit(), A, bytes.fromhex("03 00 00 00 08 00"))) == 8
    assert len(data_of(LogicalUnit(), A, REQUEST_SENSE)) == 18


def test_sam3_5_3_2_reservation_conflict_precedes_a_unit_attention_which_stays() -> None:
    unit = unit_with(A, B, kind=WERO)
    assert out(unit, A, PREEMPT, KEY_A, KEY_B) == "good"
    assert run(unit, B, WRITE_10, BLOCK) == "conflict"
    assert out(unit, B, CLEAR, KEY_B) == "conflict"
    assert attentions(unit, B) == ["6/2a/05"]


def test_a_conflict_that_the_command_finds_itself_comes_after_a_unit_attention() -> None:
    unit = unit_with(A, B, kind=WERO)
    unit.reset(A)
    assert out(unit, B, PREEMPT, KEY_C, KEY_A, kind=WERO) == "6/29/03"
    assert out(unit, B, PREEMPT, KEY_C, KEY_A, kind=WERO) == "conflict"


# --- LOGICAL UNIT RESET, SAM-5 6.3.3; loss of power ----------------------------------------------


def test_6_3_3_a_reset_keeps_registrations_and_reservation() -> None:
    unit = unit_with(A, B, kind=WERO)
    assert unit.reset(B).status == 0
    assert keys(unit) == [KEY_A, KEY_B]
    assert reservation(unit) == (KEY_A, WERO)


def test_6_3_3_a_reset_aborts_all_tasks_and_tells_every_nexus() -> None:
    unit = unit_with(A, B, kind=WERO)
    tags = [unit.submit(nexus, WRITE_16, BLOCK) for nexus in (A, B)]
    unit.reset(A)
    assert [unit.complete(tag) for tag in tags] == [None, None]
    assert attentions(unit, A) == ["6/29/03"]
    assert attentions(unit, B) == ["6/29/03"]
    assert not unit.medium.written


def test_5_7_5_loss_of_power_takes_tasks_and_what_was_pending() -> None:
    unit = unit_with(A, B, kind=WERO)
    assert out(unit, A, PREEMPT, KEY_A, KEY_B) == "good"
    tag = unit.submit(A, WRITE_16, BLOCK)
    unit.power_cycle()
    assert unit.complete(tag) is None
    assert attentions(unit, A) == ["6/29/01"]
    assert attentions(unit, B) == ["6/29/01"]
    assert keys(unit) == []
    assert reservation(unit) == (0, 0)


def test_what_was_written_survives_loss_of_power() -> None:
    unit = LogicalUnit()
    assert run(unit, A, WRITE_10, BLOCK) == "good"
    unit.power_cycle()
    assert attentions(unit, A) == ["6/29/01"]
    assert data_of(unit, A, READ_10) == BLOCK


# --- Tasks ---------------------------------------------------------------------------------------


def test_a_write_takes_effect_when_it_is_completed() -> None:
    unit = LogicalUnit()
    tag = unit.submit(A, WRITE_10, BLOCK)
    assert data_of(unit, A, READ_10) == bytes(512)
    response = unit.complete(tag)
    assert response is not None and outcome(response) == "good"
    assert data_of(unit, A, READ_10) == BLOCK
    assert unit.complete(tag) is None


def test_what_was_refused_at_acceptance_stays_refused() -> None:
    unit = unit_with(A, kind=WERO)
    tag = unit.submit(B, WRITE_10, BLOCK)
    assert out(unit, A, CLEAR, KEY_A) == "good"
    response = unit.complete(tag)
    assert response is not None and outcome(response) == "conflict"


def test_sam5_5_3_1_a_full_task_set() -> None:
    unit = LogicalUnit()
    for _ in range(MAX_TASKS):
        unit.submit(A, WRITE_10, BLOCK)
    response = unit.complete(unit.submit(A, WRITE_10, BLOCK))
    assert response is not None and outcome(response) == "full"


@pytest.mark.parametrize("tag", [0, -1, 1, 99])
def test_a_tag_that_was_never_given_is_the_callers_error(tag: int) -> None:
    with pytest.raises(SimulatorError, match="never submitted"):
        LogicalUnit().complete(tag)


# --- What is the caller's error and not the unit's -----------------------------------------------


@pytest.mark.parametrize("cdb", [b"", bytes(5), bytes(7), READ_10[:9], READ_16 + b"\0"])
def test_4_2_5_1_a_cdb_of_the_wrong_length_is_the_callers_error(cdb: bytes) -> None:
    with pytest.raises(SimulatorError, match="CDB"):
        LogicalUnit().command(A, cdb)


@pytest.mark.parametrize(
    ("name", "isid", "port"),
    [
        ("", "00023d000001", 1),
        ("n" * 224, "00023d000001", 1),
        ("a b", "00023d000001", 1),
        ("a,b", "00023d000001", 1),
        ("a\n", "00023d000001", 1),
        ("\u00e9", "00023d000001", 1),
        ("a", "00023D000001", 1),
        ("a", "0002", 1),
        ("a", "00023d000001", 0),
        ("a", "00023d000001", 65536),
    ],
)
def test_a_nexus_that_cannot_be(name: str, isid: str, port: int) -> None:
    with pytest.raises(SimulatorError):
        Nexus(name, isid, port)


def test_a_unit_that_cannot_be() -> None:
    for profile, serial, blocks in (
        ("none", "a", 1),
        ("spec", "", 1),
        ("spec", "a b", 1),
        ("spec", "x" * 65, 1),
        ("spec", "a", 0),
    ):
        with pytest.raises(SimulatorError):
            LogicalUnit(profile, serial, blocks)


def test_nexuses_are_values() -> None:
    assert Nexus("a") == Nexus("a") and hash(Nexus("a")) == hash(Nexus("a"))
    assert Nexus("a") != Nexus("a", port=2) and Nexus("a") != Nexus("b")


def test_the_same_commands_give_the_same_bytes() -> None:
    """No clock, no randomness: two units that are told the same say the same."""
    transcripts = []
    for _ in range(2):
        unit = unit_with(A, B, kind=WERO)
        out(unit, B, IGNORE, 0, KEY_C)
        out(unit, A, ABORT, KEY_A, KEY_C)
        page = bytes.fromhex("12 01 83 00 ff 00")
        transcripts.append([repr(unit.command(B, cdb, b"", 999)) for cdb in (READ_KEYS, page)])
    assert transcripts[0] == transcripts[1]
