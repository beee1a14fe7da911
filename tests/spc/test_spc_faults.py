"""The fault model: what strikes, whom, when, how often; and its text form."""

from __future__ import annotations

import pytest

from fence_prbarrier.simulator.faults import MAX_FAULTS, parse_fault
from fence_prbarrier.simulator.unit import LogicalUnit
from fence_prbarrier.simulator.values import Nexus, SimulatorError

from .wire import (
    A2,
    ABORT,
    BLOCK,
    KEY_A,
    KEY_B,
    PREEMPT,
    READ_10,
    READ_KEYS,
    READ_RESERVATION,
    RESERVE,
    TEST_UNIT_READY,
    WERO,
    WRITE_10,
    WRITE_16,
    A,
    B,
    data_of,
    keys,
    out,
    outcome,
    reservation,
    run,
    unit_with,
)


def aim(unit: LogicalUnit, text: str) -> None:
    unit.add_fault(parse_fault(text.split()))


@pytest.mark.parametrize(
    ("text", "answer", "executed"),
    [
        ("lost-command", "host 03", False),
        ("lost-command:0e", "host 0e", False),
        ("lost-reply", "host 03", True),
        ("lost-reply:0e", "host 0e", True),
        ("dead-path", "host 01", False),
        ("busy", "busy", False),
        ("task-set-full", "full", False),
        ("conflict", "conflict", False),
        ("sense:4/44/00", "4/44/00", False),
        ("ua:29/00", "6/29/00", False),
        ("delay:10", "good", True),
        ("truncated:4", "good", True),
        ("descriptor-sense", "good", True),
    ],
)
def test_what_the_initiator_sees_and_what_happened(text: str, answer: str, executed: bool) -> None:
    unit = unit_with(A)
    aim(unit, text + " op=5f/01")
    assert out(unit, A, RESERVE, KEY_A, kind=WERO) == answer
    assert reservation(unit) == ((KEY_A, WERO) if executed else (0, 0))


def test_a_lost_reply_bears_neither_data_nor_sense() -> None:
    unit = unit_with(A)
    aim(unit, "lost-reply op=5e/00")
    response = unit.command(A, READ_KEYS, data_in_length=999)
    assert (response.data, response.sense, response.host_status) == (b"", b"", 3)


def test_a_preempt_and_abort_whose_reply_is_lost_has_been_done() -> None:
    unit = unit_with(A, B, kind=WERO)
    aim(unit, "lost-reply op=5f/05")
    assert out(unit, A, ABORT, KEY_A, KEY_B, kind=WERO) == "host 03"
    assert keys(unit) == [KEY_A]
    assert out(unit, A, ABORT, KEY_A, KEY_B, kind=WERO) == "conflict"


def test_hold_leaves_a_write_in_flight_until_completed() -> None:
    unit = unit_with(A, B, kind=WERO)
    aim(unit, f"hold op=8a initiator={B.initiator}")
    assert run(unit, B, WRITE_16, BLOCK) == "host 03"
    assert out(unit, A, PREEMPT, KEY_A, KEY_B) == "good"
    assert data_of(unit, A, READ_10) == bytes(512)
    response = unit.complete(1)
    assert response is not None and outcome(response) == "good"
    assert data_of(unit, A, READ_10) == BLOCK


def test_hold_ends_with_the_abort() -> None:
    unit = unit_with(A, B, kind=WERO)
    aim(unit, "hold op=8a")
    assert run(unit, B, WRITE_16, BLOCK) == "host 03"
    assert out(unit, A, ABORT, KEY_A, KEY_B) == "good"
    assert unit.complete(1) is None


def test_hold_does_not_hold_what_is_refused() -> None:
    unit = unit_with(A, kind=WERO)
    aim(unit, "hold op=8a")
    assert run(unit, B, WRITE_16, BLOCK) == "conflict"
    assert not unit.tasks


def test_a_held_service_action_is_done_when_it_is_completed() -> None:
    """An eviction that is overtaken: it strikes whatever bears the key by then."""
    unit = unit_with(A, B, kind=WERO)
    aim(unit, "hold op=5f/05")
    assert out(unit, A, ABORT, KEY_A, KEY_B, kind=WERO) == "host 03"
    assert keys(unit) == [KEY_A, KEY_B]
    response = unit.complete(1)
    assert response is not None and outcome(response) == "good"
    assert keys(unit) == [KEY_A]


def test_delay_is_reported_and_not_slept() -> None:
    unit = unit_with(A)
    aim(unit, "delay:500 op=5e")
    assert unit.command(A, TEST_UNIT_READY).delay_ms == 0
    assert unit.command(A, READ_KEYS).delay_ms == 500
    assert unit.command(A, READ_KEYS).delay_ms == 0


def test_a_delay_comes_on_top_of_another_fault() -> None:
    unit = unit_with(A)
    aim(unit, "busy op=5e")
    aim(unit, "delay:500 op=5e")
    response = unit.command(A, READ_KEYS)
    assert (outcome(response), response.delay_ms) == ("busy", 500)


@pytest.mark.parametrize("length", [0, 4, 8, 15])
def test_truncated(length: int) -> None:
    unit = unit_with(A)
    whole = data_of(unit, A, READ_KEYS)
    aim(unit, f"truncated:{length} op=5e/00")
    assert data_of(unit, A, READ_KEYS) == whole[:length]
    assert data_of(unit, A, READ_KEYS) == whole


def test_descriptor_sense_is_for_one_command() -> None:
    unit = LogicalUnit()
    aim(unit, "descriptor-sense")
    bad = bytes.fromhex("5e 04 00 00 00 00 00 00 08 00")
    assert unit.command(A, bad).sense == bytes.fromhex("72 05 24 00 00000000")
    assert unit.command(A, bad).sense[0] == 0x70


def test_a_unit_attention_goes_before_those_that_are_pending() -> None:
    unit = unit_with(A)
    unit.reset(B)
    aim(unit, "ua:3f/0e")
    assert [run(unit, A, TEST_UNIT_READY) for _ in range(3)] == ["6/3f/0e", "6/29/03", "good"]


def test_a_dead_path_is_dead_until_it_is_repaired_and_other_paths_are_not() -> None:
    unit = unit_with(A)
    aim(unit, f"dead-path initiator={A.initiator} port=1")
    for _ in range(5):
        assert run(unit, A, TEST_UNIT_READY) == "host 01"
    assert unit.reset(A).host_status == 1
    assert run(unit, A2, TEST_UNIT_READY) == "good"
    unit.faults.clear()
    assert run(unit, A, TEST_UNIT_READY) == "good"
    assert keys(unit) == [KEY_A]


# --- Aiming --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aim_text", "nexus", "cdb", "hit"),
    [
        ("busy", A, TEST_UNIT_READY, True),
        (f"busy initiator={A.initiator}", A, TEST_UNIT_READY, True),
        (f"busy initiator={A.initiator}", B, TEST_UNIT_READY, False),
        ("busy port=2", A, TEST_UNIT_READY, False),
        ("busy port=2", A2, TEST_UNIT_READY, True),
        ("busy isid=00023d000009", A, TEST_UNIT_READY, False),
        ("busy isid=00023d000009", Nexus("a", "00023d000009"), TEST_UNIT_READY, True),
        ("busy op=5e", A, READ_KEYS, True),
        ("busy op=5e/00", A, READ_KEYS, True),
        ("busy op=5e/00", A, READ_RESERVATION, False),
        ("busy op=5f", A, READ_KEYS, False),
        (f"busy op=5e/01 initiator={A.initiator} port=1", A, READ_RESERVATION, True),
    ],
)
def test_aim(aim_text: str, nexus: Nexus, cdb: bytes, hit: bool) -> None:
    unit = LogicalUnit()
    aim(unit, aim_text)
    assert run(unit, nexus, cdb) == ("busy" if hit else "good")


def test_skip_and_times() -> None:
    unit = LogicalUnit()
    aim(unit, "busy op=00 skip=2 times=3")
    answers = []
    for _ in range(7):
        assert run(unit, A, READ_KEYS) == "good"  # does not match, so does not count
        answers.append(run(unit, A, TEST_UNIT_READY))
    assert answers == ["good", "good", "busy", "busy", "busy", "good", "good"]
    assert not unit.faults


def test_always() -> None:
    unit = LogicalUnit()
    aim(unit, "busy op=00 times=always")
    assert {run(unit, A, TEST_UNIT_READY) for _ in range(50)} == {"busy"}


def test_the_first_in_order_strikes_and_the_others_count_it() -> None:
    unit = LogicalUnit()
    aim(unit, "busy op=00 skip=1")
    aim(unit, "conflict op=00 skip=1")
    aim(unit, "task-set-full op=00 skip=2")
    assert [run(unit, A, TEST_UNIT_READY) for _ in range(5)] == [
        "good",
        "busy",
        "conflict",
        "full",
        "good",
    ]


@pytest.mark.parametrize("kind", ["lost-command", "lost-reply", "dead-path"])
def test_a_reset_can_be_struck(kind: str) -> None:
    unit = unit_with(A)
    tag = unit.submit(A, WRITE_10, BLOCK)
    aim(unit, f"{kind} op=reset")
    assert run(unit, A, TEST_UNIT_READY) == "good"
    assert unit.reset(A).host_status != 0
    assert (unit.complete(tag) is None) == (kind == "lost-reply")


def test_what_is_for_commands_does_not_strike_a_reset() -> None:
    unit = LogicalUnit()
    aim(unit, "busy")
    assert unit.reset(A).status == 0
    assert run(unit, A, TEST_UNIT_READY) == "busy"


def test_faults_survive_a_power_cycle() -> None:
    unit = LogicalUnit()
    aim(unit, "busy")
    unit.power_cycle()
    assert len(unit.faults) == 1


# --- The text form -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("busy", "busy skip=0 times=1"),
        ("dead-path", "dead-path skip=0 times=always"),
        ("dead-path:0e times=2", "dead-path:0e skip=0 times=2"),
        ("lost-reply:E op=5F/5", "lost-reply:0e op=5f/05 skip=0 times=1"),
        ("sense:2/4/1 port=7", "sense:02/04/01 port=7 skip=0 times=1"),
        ("delay:1500 op=reset", "delay:1500 op=reset skip=0 times=1"),
        ("truncated:8 skip=3 times=always", "truncated:8 skip=3 times=always"),
        (
            "ua:2a/05 initiator=iqn.a:1 isid=00023d000001 port=1 op=00",
            "ua:2a/05 initiator=iqn.a:1 isid=00023d000001 port=1 op=00 skip=0 times=1",
        ),
    ],
)
def test_the_text_form_is_read_and_written(text: str, normal: str) -> None:
    assert str(parse_fault(text.split())) == normal
    assert str(parse_fault(normal.split())) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bysy",
        "busy:1",
        "lost-reply:1/2",
        "lost-reply:00",
        "dead-path:0",
        "lost-reply:100",
        "lost-reply:",
        "sense:1/2",
        "sense:10/00/00",
        "sense:-1/00/00",
        "sense:1/00/zz",
        "ua",
        "ua:2a",
        "delay",
        "delay:-1",
        "delay:1_0",
        "delay:600001",
        "truncated:0x4",
        "truncated:\u0663",
        "busy op=",
        "busy op=5f/20",
        "busy op=5f/",
        "busy op=100",
        "busy op=zz",
        "busy op=reset",
        "hold op=reset",
        "busy times=0",
        "busy times=-1",
        "busy skip=x",
        "busy port=",
        "busy initiator=",
        "busy initiator=\u00e9",
        "busy initiator=a,b",
        "busy isid=xyz",
        "busy foo=1",
        "busy op",
    ],
)
def test_the_text_form_refuses(text: str) -> None:
    with pytest.raises(SimulatorError, match=r"^(fault|initiator|ISID)"):
        parse_fault(text.split())


def test_there_is_a_limit() -> None:
    unit = LogicalUnit()
    for _ in range(MAX_FAULTS):
        aim(unit, "busy")
    with pytest.raises(SimulatorError):
        aim(unit, "busy")
