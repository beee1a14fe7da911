"""RESERVE, RELEASE, CLEAR and PRGENERATION: SPC-4 5.7.9 to 5.7.11, 6.15.2."""

from __future__ import annotations

import pytest

from fence_prbarrier.simulator.unit import LogicalUnit

from .wire import (
    ABORT,
    ALL_TYPES,
    CLEAR,
    EA,
    EAAR,
    EARO,
    IGNORE,
    KEY_A,
    KEY_B,
    KEY_C,
    PREEMPT,
    PREEMPTED_RESERVATIONS,
    REGISTER,
    RELEASE,
    RELEASED,
    RESERVE,
    WE,
    WEAR,
    WERO,
    A,
    B,
    C,
    attentions,
    generation,
    keys,
    out,
    reservation,
    unit_with,
)

# --- RESERVE, 5.7.9 -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL_TYPES)
def test_5_7_9_reserving_establishes_the_type(kind: int) -> None:
    unit = unit_with(A, B)
    assert out(unit, A, RESERVE, KEY_A, kind=kind) == "good"
    assert reservation(unit) == (0 if kind >= WEAR else KEY_A, kind)
    assert attentions(unit, B) == []


@pytest.mark.parametrize("kind", ALL_TYPES)
def test_5_7_9_a_holder_may_reserve_again(kind: int) -> None:
    unit = unit_with(A, B, kind=kind)
    assert out(unit, A, RESERVE, KEY_A, kind=kind) == "good"
    assert reservation(unit)[1] == kind


@pytest.mark.parametrize("kind", ALL_TYPES)
@pytest.mark.parametrize("other", ALL_TYPES)
def test_5_7_9_a_holder_may_not_change_the_type(kind: int, other: int) -> None:
    unit = unit_with(A, kind=kind)
    answer = "good" if kind == other else "conflict"
    assert out(unit, A, RESERVE, KEY_A, kind=other) == answer
    assert reservation(unit)[1] == kind


@pytest.mark.parametrize("kind", ALL_TYPES)
def test_5_7_9_another_registrant_may_reserve_only_if_it_holds(kind: int) -> None:
    unit = unit_with(A, B, kind=kind)
    answer = "good" if kind in (WEAR, EAAR) else "conflict"
    assert out(unit, B, RESERVE, KEY_B, kind=kind) == answer


@pytest.mark.parametrize("action", [RESERVE, RELEASE, CLEAR, PREEMPT, ABORT])
@pytest.mark.parametrize("kind", [0, *ALL_TYPES])
def test_5_7_1_an_unregistered_nexus_conflicts(action: int, kind: int) -> None:
    unit = unit_with(A, kind=kind)
    assert out(unit, B, action, 0, KEY_A, kind=WERO) == "conflict"
    assert out(unit, B, action, KEY_A, KEY_A, kind=WERO) == "conflict"
    assert keys(unit) == [KEY_A]
    assert reservation(unit)[1] == kind


@pytest.mark.parametrize("action", [RESERVE, RELEASE, CLEAR, PREEMPT, ABORT])
@pytest.mark.parametrize("key", [0, KEY_B, KEY_C])
def test_6_16_3_a_wrong_reservation_key_conflicts(action: int, key: int) -> None:
    unit = unit_with(A, B, kind=WERO)
    assert out(unit, A, action, key, KEY_B, kind=WERO) == "conflict"
    assert keys(unit) == [KEY_A, KEY_B]
    assert reservation(unit) == (KEY_A, WERO)


@pytest.mark.parametrize("kind", [0x0, 0x2, 0x4, 0x9, 0xF])
def test_6_15_3_4_reserved_types_are_24h(kind: int) -> None:
    unit = unit_with(A)
    assert out(unit, A, RESERVE, KEY_A, kind=kind) == "5/24/00"
    assert reservation(unit) == (0, 0)


@pytest.mark.parametrize("scope", [0x1, 0x2, 0xF])
def test_6_15_3_3_scopes_other_than_the_unit_are_24h(scope: int) -> None:
    unit = unit_with(A)
    assert out(unit, A, RESERVE, KEY_A, kind=WERO, scope=scope) == "5/24/00"
    assert reservation(unit) == (0, 0)


# --- RELEASE, 5.7.11.2 --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "heard"),
    [
        (WE, []),
        (EA, []),
        (WERO, [RELEASED]),
        (EARO, [RELEASED]),
        (WEAR, [RELEASED]),
        (EAAR, [RELEASED]),
    ],
)
def test_5_7_11_2_releasing(kind: int, heard: list[str]) -> None:
    unit = unit_with(A, B, C, kind=kind)
    assert out(unit, A, RELEASE, KEY_A, kind=kind) == "good"
    assert reservation(unit) == (0, 0)
    assert keys(unit) == [KEY_A, KEY_B, KEY_C]
    assert attentions(unit, A) == []
    assert attentions(unit, B) == heard
    assert attentions(unit, C) == heard


def test_5_7_11_2_who_is_not_registered_does_not_hear_of_it() -> None:
    unit = unit_with(A, kind=WERO)
    assert attentions(unit, B) == []  # the unit knows B from here on
    assert out(unit, A, RELEASE, KEY_A, kind=WERO) == "good"
    assert attentions(unit, B) == []


@pytest.mark.parametrize("kind", [WE, EA, WERO, EARO])
def test_5_7_11_2_release_by_another_registrant_is_good_and_does_nothing(kind: int) -> None:
    unit = unit_with(A, B, kind=kind)
    assert out(unit, B, RELEASE, KEY_B, kind=kind) == "good"
    assert out(unit, B, RELEASE, KEY_B, kind=EAAR) == "good"
    assert reservation(unit) == (KEY_A, kind)


@pytest.mark.parametrize("kind", [WEAR, EAAR])
def test_5_7_11_2_any_registrant_holds_and_releases_an_all_registrants_type(kind: int) -> None:
    unit = unit_with(A, B, kind=kind)
    assert out(unit, B, RELEASE, KEY_B, kind=kind) == "good"
    assert reservation(unit) == (0, 0)
    assert attentions(unit, A) == [RELEASED]


def test_5_7_11_2_release_where_nothing_is_reserved_is_good() -> None:
    assert out(unit_with(A), A, RELEASE, KEY_A, kind=WERO) == "good"


@pytest.mark.parametrize(("kind", "scope"), [(EARO, 0), (WE, 0), (0, 0), (WERO, 1)])
def test_5_7_11_2_release_of_another_type_or_scope_is_26h_04h(kind: int, scope: int) -> None:
    unit = unit_with(A, B, kind=WERO)
    assert out(unit, A, RELEASE, KEY_A, kind=kind, scope=scope) == "5/26/04"
    assert reservation(unit) == (KEY_A, WERO)
    assert attentions(unit, B) == []


# --- CLEAR, 5.7.11.6 ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0, *ALL_TYPES])
@pytest.mark.parametrize("by", [A, B])
def test_5_7_11_6_clearing(kind: int, by: object) -> None:
    unit = unit_with(A, B, C, kind=kind)
    caller, other = (A, B) if by is A else (B, A)
    key = KEY_A if by is A else KEY_B
    assert out(unit, caller, CLEAR, key) == "good"
    assert keys(unit) == []
    assert reservation(unit) == (0, 0)
    assert attentions(unit, caller) == []
    assert attentions(unit, other) == [PREEMPTED_RESERVATIONS]
    assert attentions(unit, C) == [PREEMPTED_RESERVATIONS]


# --- PRGENERATION, 6.15.2 ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "key", "action_key", "answer", "counted"),
    [
        (REGISTER, KEY_A, KEY_C, "good", 1),
        (REGISTER, KEY_A, 0, "good", 1),
        (IGNORE, 0, KEY_A, "good", 1),
        (CLEAR, KEY_A, 0, "good", 1),
        (PREEMPT, KEY_A, KEY_B, "good", 1),
        (ABORT, KEY_A, KEY_B, "good", 1),
        (RESERVE, KEY_A, 0, "good", 0),
        (RELEASE, KEY_A, 0, "good", 0),
        (REGISTER, KEY_B, KEY_C, "conflict", 0),
        (CLEAR, KEY_B, 0, "conflict", 0),
        (PREEMPT, KEY_A, KEY_C, "conflict", 0),
        (ABORT, KEY_A, KEY_C, "conflict", 0),
        (PREEMPT, KEY_A, 0, "5/26/00", 0),
    ],
)
def test_6_15_2_what_prgeneration_counts(
    action: int, key: int, action_key: int, answer: str, counted: int
) -> None:
    unit = unit_with(A, B, kind=WERO)
    before = generation(unit)
    assert out(unit, A, action, key, action_key, kind=WERO) == answer
    assert generation(unit) == before + counted


def test_6_15_2_prgeneration_starts_at_zero_and_again_with_power_even_with_aptpl() -> None:
    unit = LogicalUnit()
    assert generation(unit) == 0
    assert out(unit, A, REGISTER, 0, KEY_A, flags=1) == "good"
    assert generation(unit) == 1
    unit.power_cycle()
    assert generation(unit) == 0


def test_6_15_2_prgeneration_survives_a_reset() -> None:
    unit = unit_with(A)
    unit.reset(B)
    assert generation(unit) == 1


def test_6_15_2_prgeneration_wraps() -> None:
    unit = LogicalUnit()
    unit.reservations.generation = 0xFFFFFFFF
    assert out(unit, A, REGISTER, 0, KEY_A) == "good"
    assert generation(unit) == 0
