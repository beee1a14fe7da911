"""REGISTER and REGISTER AND IGNORE EXISTING KEY: SPC-4 5.7.7, 5.7.11.3, 5.7.5."""

from __future__ import annotations

import pytest

from fence_prbarrier.simulator.unit import LogicalUnit
from fence_prbarrier.simulator.values import Nexus

from .wire import (
    A2,
    ALL_TYPES,
    CLEAR,
    EARO,
    IGNORE,
    KEY_A,
    KEY_B,
    KEY_C,
    MOVE,
    PREEMPT,
    READ_FULL_STATUS,
    REGISTER,
    RELEASE,
    RELEASED,
    REPLACE,
    REPORT_CAPABILITIES,
    RESERVE,
    WE,
    WEAR,
    WERO,
    WRITE_10,
    A,
    B,
    C,
    attentions,
    data_of,
    generation,
    keys,
    out,
    out_cdb,
    outcome,
    plist,
    reservation,
    run,
    unit_with,
)

ALL_TG_PT, APTPL, SPEC_I_PT = 0x04, 0x01, 0x08


@pytest.mark.parametrize(
    ("action", "registered", "key", "action_key", "answer", "left"),
    [
        # Table 47, REGISTER
        (REGISTER, False, 0, 0, "good", []),
        (REGISTER, False, 0, KEY_C, "good", [KEY_C]),
        (REGISTER, False, KEY_A, 0, "conflict", []),
        (REGISTER, False, KEY_A, KEY_C, "conflict", []),
        (REGISTER, True, 0, KEY_C, "conflict", [KEY_A]),
        (REGISTER, True, KEY_B, KEY_C, "conflict", [KEY_A]),
        (REGISTER, True, KEY_B, 0, "conflict", [KEY_A]),
        (REGISTER, True, KEY_A, KEY_C, "good", [KEY_C]),
        (REGISTER, True, KEY_A, KEY_A, "good", [KEY_A]),
        (REGISTER, True, KEY_A, 0, "good", []),
        # Table 48, REGISTER AND IGNORE EXISTING KEY: RESERVATION KEY is ignored
        (IGNORE, False, 0, 0, "good", []),
        (IGNORE, False, KEY_B, 0, "good", []),
        (IGNORE, False, KEY_B, KEY_C, "good", [KEY_C]),
        (IGNORE, True, KEY_B, KEY_C, "good", [KEY_C]),
        (IGNORE, True, 0, KEY_A, "good", [KEY_A]),
        (IGNORE, True, KEY_B, 0, "good", []),
    ],
)
def test_5_7_7_tables_47_and_48(
    action: int, registered: bool, key: int, action_key: int, answer: str, left: list[int]
) -> None:
    unit = unit_with(A) if registered else LogicalUnit()
    assert out(unit, A, action, key, action_key) == answer
    assert keys(unit) == left


def test_5_7_7_doing_nothing_counts_nothing_and_takes_no_aptpl() -> None:
    unit = unit_with(B)
    assert out(unit, B, REGISTER, KEY_B, KEY_B, flags=APTPL) == "good"
    before = generation(unit)
    assert out(unit, A, REGISTER, 0, 0) == "good"
    assert generation(unit) == before
    unit.power_cycle()
    assert keys(unit) == [KEY_B]


def test_5_7_7_two_nexuses_may_register_the_same_key() -> None:
    unit = LogicalUnit()
    assert out(unit, A, REGISTER, 0, KEY_A) == "good"
    assert out(unit, B, REGISTER, 0, KEY_A) == "good"
    assert keys(unit) == [KEY_A, KEY_A]


def test_5_7_7_a_nexus_is_initiator_port_and_target_port() -> None:
    unit = unit_with(A)
    other_isid = Nexus(A.initiator, "00023d000009")
    assert out(unit, A2, REGISTER, 0, KEY_B) == "good"
    assert out(unit, other_isid, REGISTER, 0, KEY_C) == "good"
    assert keys(unit) == [KEY_A, KEY_B, KEY_C]


@pytest.mark.parametrize("action", [REGISTER, IGNORE])
@pytest.mark.parametrize("kind", ALL_TYPES)
def test_5_7_10_a_holder_that_changes_its_key_stays_holder(action: int, kind: int) -> None:
    unit = unit_with(A, B, kind=kind)
    assert out(unit, A, action, KEY_A, KEY_C) == "good"
    assert reservation(unit) == (0 if kind >= WEAR else KEY_C, kind)
    assert attentions(unit, B) == []


@pytest.mark.parametrize("kind", ALL_TYPES)
def test_5_7_1_registering_is_open_under_every_type(kind: int) -> None:
    unit = unit_with(A, kind=kind)
    assert out(unit, B, REGISTER, 0, KEY_B) == "good"
    assert out(unit, C, IGNORE, 0, KEY_C) == "good"
    assert keys(unit) == [KEY_A, KEY_B, KEY_C]


@pytest.mark.parametrize("kind", [*ALL_TYPES, 0xF])
def test_6_16_2_register_ignores_scope_and_type(kind: int) -> None:
    unit = LogicalUnit()
    assert out(unit, A, REGISTER, 0, KEY_A, kind=kind, scope=3) == "good"
    assert reservation(unit) == (0, 0)


# --- Unregistering, 5.7.11.3 --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "left", "heard"),
    [
        (WE, 0, []),
        (3, 0, []),
        (WERO, 0, [RELEASED]),
        (EARO, 0, [RELEASED]),
        (WEAR, WEAR, []),
        (8, 8, []),
    ],
)
def test_5_7_11_3_unregistering_the_holder(kind: int, left: int, heard: list[str]) -> None:
    unit = unit_with(A, B, kind=kind)
    assert out(unit, A, REGISTER, KEY_A, 0) == "good"
    assert keys(unit) == [KEY_B]
    assert reservation(unit) == (0, left)
    assert attentions(unit, A) == []
    assert attentions(unit, B) == heard


@pytest.mark.parametrize("kind", ALL_TYPES)
def test_5_7_11_3_unregistering_who_does_not_hold_releases_nothing(kind: int) -> None:
    unit = unit_with(A, B, kind=kind)
    assert out(unit, B, REGISTER, KEY_B, 0) == "good"
    assert reservation(unit)[1] == kind
    assert attentions(unit, A) == []


@pytest.mark.parametrize("kind", [WEAR, 8])
def test_5_7_11_3_the_last_registrant_releases_an_all_registrants_type(kind: int) -> None:
    unit = unit_with(A, B, kind=kind)
    assert out(unit, A, REGISTER, KEY_A, 0) == "good"
    assert reservation(unit) == (0, kind)
    assert out(unit, B, IGNORE, 0, 0) == "good"
    assert reservation(unit) == (0, 0)


# --- APTPL, 5.7.5 -------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [0, APTPL])
def test_5_7_5_the_last_registration_decides_for_all(last: int) -> None:
    unit = LogicalUnit()
    assert out(unit, A, REGISTER, 0, KEY_A, flags=APTPL ^ last) == "good"
    assert out(unit, B, IGNORE, 0, KEY_B, flags=last) == "good"
    assert out(unit, A, RESERVE, KEY_A, kind=WERO) == "good"
    assert data_of(unit, A, REPORT_CAPABILITIES)[3] & 1 == last
    unit.power_cycle()
    assert keys(unit) == ([KEY_A, KEY_B] if last else [])
    assert reservation(unit) == ((KEY_A, WERO) if last else (0, 0))


def test_5_7_5_a_refused_registration_does_not_decide() -> None:
    unit = LogicalUnit()
    assert out(unit, A, REGISTER, 0, KEY_A, flags=APTPL) == "good"
    assert out(unit, B, REGISTER, KEY_C, KEY_B) == "conflict"
    unit.power_cycle()
    assert keys(unit) == [KEY_A]


def test_5_7_5_aptpl_of_other_service_actions_is_ignored() -> None:
    unit = LogicalUnit()
    assert out(unit, A, REGISTER, 0, KEY_A, flags=APTPL) == "good"
    assert out(unit, A, RESERVE, KEY_A, kind=WERO, flags=0) == "good"
    unit.power_cycle()
    assert reservation(unit) == (KEY_A, WERO)


def test_6_16_3_aptpl_without_the_capability_is_26h() -> None:
    unit = LogicalUnit(aptpl=False)
    assert data_of(unit, A, REPORT_CAPABILITIES)[2] & 1 == 0
    assert out(unit, A, REGISTER, 0, KEY_A, flags=APTPL) == "5/26/00"
    assert keys(unit) == []


def test_5_7_5_what_persisted_persists_again_and_still_bars() -> None:
    unit = LogicalUnit()
    assert out(unit, A, REGISTER, 0, KEY_A, flags=APTPL) == "good"
    assert out(unit, A, RESERVE, KEY_A, kind=WERO) == "good"
    unit.power_cycle()
    unit.power_cycle()
    assert run(unit, B, WRITE_10, bytes(512)) == "conflict"


# --- ALL_TG_PT, 6.16.3 ---------------------------------------------------------------------------


def test_6_16_3_all_tg_pt_registers_every_target_port_of_the_initiator_port() -> None:
    unit = LogicalUnit()
    assert out(unit, A, REGISTER, 0, KEY_A, flags=ALL_TG_PT) == "good"
    assert out(unit, A, RESERVE, KEY_A, kind=WERO) == "good"
    assert run(unit, A2, WRITE_10, bytes(512)) == "good"
    assert run(unit, Nexus(A.initiator, "00023d000009"), WRITE_10, bytes(512)) == "conflict"
    assert out(unit, A2, RELEASE, KEY_A, kind=WERO) == "good"


def test_6_16_3_all_tg_pt_is_one_registration_for_all_its_ports() -> None:
    unit = LogicalUnit()
    assert out(unit, A, REGISTER, 0, KEY_A, flags=ALL_TG_PT) == "good"
    assert keys(unit) == [KEY_A]
    assert out(unit, A2, REGISTER, 0, KEY_B) == "conflict"
    assert out(unit, A2, REGISTER, KEY_A, 0, flags=ALL_TG_PT) == "good"
    assert keys(unit) == []


def test_6_16_3_all_tg_pt_takes_the_place_of_single_registrations() -> None:
    unit = unit_with(A, kind=WERO)
    assert out(unit, A2, IGNORE, 0, KEY_B) == "good"
    assert out(unit, A2, IGNORE, 0, KEY_C, flags=ALL_TG_PT) == "good"
    assert keys(unit) == [KEY_C]
    assert reservation(unit) == (KEY_C, WERO)
    assert data_of(unit, A, READ_FULL_STATUS)[8 + 12] == 0x03


def test_6_16_3_all_tg_pt_register_checks_the_key_on_every_port() -> None:
    unit = unit_with(A)
    assert out(unit, A2, REGISTER, 0, KEY_B, flags=ALL_TG_PT) == "conflict"
    assert keys(unit) == [KEY_A]


def test_6_16_3_all_tg_pt_without_the_capability_is_26h() -> None:
    unit = LogicalUnit(all_tg_pt=False)
    assert data_of(unit, A, REPORT_CAPABILITIES)[2] & 4 == 0
    assert out(unit, A, REGISTER, 0, KEY_A, flags=ALL_TG_PT) == "5/26/00"


# --- Fields --------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [REGISTER, IGNORE, RESERVE, CLEAR, PREEMPT])
def test_6_16_3_spec_i_pt_is_refused(action: int) -> None:
    unit = unit_with(A)
    assert out(unit, A, action, KEY_A, KEY_A, kind=WERO, flags=SPEC_I_PT) == "5/26/00"
    assert keys(unit) == [KEY_A]


@pytest.mark.parametrize("length", [0, 8, 23, 25, 28, 65536])
def test_6_16_1_a_parameter_list_of_other_than_24_bytes_is_1ah(length: int) -> None:
    unit = LogicalUnit()
    data = plist(0, KEY_A) + bytes(length)
    response = unit.command(A, out_cdb(REGISTER, length=length), data)
    assert outcome(response) == "5/1a/00"
    assert keys(unit) == []


def test_6_16_1_less_data_than_declared_is_1ah() -> None:
    unit = LogicalUnit()
    assert outcome(unit.command(A, out_cdb(REGISTER), plist(0, KEY_A)[:23])) == "5/1a/00"


@pytest.mark.parametrize("flags", [0x80, 0x40, 0x20, 0x10, 0x02])
def test_6_16_3_reserved_parameter_bits_are_26h(flags: int) -> None:
    unit = LogicalUnit()
    assert out(unit, A, REGISTER, 0, KEY_A, flags=flags) == "5/26/00"


@pytest.mark.parametrize(
    "text",
    [
        "5f 20 00 00 00 00 00 00 18 00",
        "5f 00 00 01 00 00 00 00 18 00",
        "5f 00 00 00 01 00 00 00 18 00",
        "5f 00 00 00 00 00 00 00 18 04",
    ],
)
def test_4_2_5_reserved_cdb_bits_are_24h(text: str) -> None:
    unit = LogicalUnit()
    assert run(unit, A, bytes.fromhex(text), plist(0, KEY_A)) == "5/24/00"


def test_6_16_3_the_obsolete_scope_specific_address_is_ignored() -> None:
    unit = LogicalUnit()
    data = bytearray(plist(0, KEY_A))
    data[16:20] = b"\xff" * 4
    assert run(unit, A, out_cdb(REGISTER), bytes(data)) == "good"


@pytest.mark.parametrize("action", [MOVE, REPLACE, 0x09, 0x1F])
def test_6_16_2_service_actions_that_are_not_offered_are_24h(action: int) -> None:
    unit = unit_with(A)
    assert out(unit, A, action, KEY_A, KEY_B) == "5/24/00"


def test_5_7_7_no_room_for_a_registration_is_55h_04h() -> None:
    unit = LogicalUnit(max_registrations=2)
    assert out(unit, A, REGISTER, 0, KEY_A) == "good"
    assert out(unit, B, REGISTER, 0, KEY_B) == "good"
    before = generation(unit)
    assert out(unit, C, REGISTER, 0, KEY_C) == "5/55/04"
    assert generation(unit) == before
    assert out(unit, A, REGISTER, KEY_A, KEY_C) == "good"
    assert keys(unit) == [KEY_C, KEY_B]
