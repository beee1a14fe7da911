"""PREEMPT and PREEMPT AND ABORT: SPC-4 5.7.11.4 and 5.7.11.5."""

from __future__ import annotations

import pytest

from fence_prbarrier.simulator.values import Nexus

from .wire import (
    A2,
    ABORT,
    ALL_TYPES,
    BLOCK,
    EA,
    EAAR,
    EARO,
    IGNORE,
    KEY_A,
    KEY_B,
    KEY_C,
    PREEMPT,
    PREEMPTED_REGISTRATIONS,
    READ_10,
    READ_16,
    REGISTER,
    RELEASED,
    WE,
    WEAR,
    WERO,
    WRITE_10,
    WRITE_16,
    WRITE_SAME_16,
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

BOTH = pytest.mark.parametrize("action", [PREEMPT, ABORT])
NOT_ALL_REGISTRANTS = [WE, EA, WERO, EARO]
ALL_REGISTRANTS = [WEAR, EAAR]

# --- Removing registrations, 5.7.11.4.4 ---------------------------------------------------------


@BOTH
@pytest.mark.parametrize("kind", [0, *NOT_ALL_REGISTRANTS])
def test_5_7_11_4_4_a_key_that_does_not_hold_loses_its_registrations(
    action: int, kind: int
) -> None:
    unit = unit_with(A, B, C, kind=kind)
    assert out(unit, A, action, KEY_A, KEY_B, kind=WERO) == "good"
    assert keys(unit) == [KEY_A, KEY_C]
    assert reservation(unit) == (KEY_A if kind else 0, kind)
    assert attentions(unit, A) == []
    assert attentions(unit, B) == [PREEMPTED_REGISTRATIONS]
    assert attentions(unit, C) == []


@BOTH
def test_5_7_11_4_4_by_who_does_not_hold(action: int) -> None:
    unit = unit_with(A, B, C, kind=WERO)
    assert out(unit, C, action, KEY_C, KEY_B, kind=WERO) == "good"
    assert keys(unit) == [KEY_A, KEY_C]
    assert reservation(unit) == (KEY_A, WERO)


@BOTH
@pytest.mark.parametrize(("kind", "scope"), [(EA, 0), (0, 0), (0xF, 0), (WERO, 0xF)])
def test_5_7_11_4_4_scope_and_type_are_ignored(action: int, kind: int, scope: int) -> None:
    unit = unit_with(A, B, C, kind=WERO)
    assert out(unit, A, action, KEY_A, KEY_B, kind=kind, scope=scope) == "good"
    assert reservation(unit) == (KEY_A, WERO)
    assert attentions(unit, C) == []


@BOTH
def test_5_7_11_4_4_every_registration_with_the_key_goes(action: int) -> None:
    unit = unit_with(A, B, kind=WERO)
    other = Nexus(B.initiator, "00023d000009", 2)
    assert out(unit, other, REGISTER, 0, KEY_B) == "good"
    assert out(unit, A, action, KEY_A, KEY_B, kind=WERO) == "good"
    assert keys(unit) == [KEY_A]
    assert attentions(unit, B) == [PREEMPTED_REGISTRATIONS]
    assert attentions(unit, other) == [PREEMPTED_REGISTRATIONS]


@BOTH
@pytest.mark.parametrize("kind", [0, WERO])
def test_5_7_11_4_4_who_does_not_hold_may_remove_its_own_key(action: int, kind: int) -> None:
    unit = unit_with(A, B, kind=kind)
    assert out(unit, B, action, KEY_B, KEY_B, kind=WERO) == "good"
    assert keys(unit) == [KEY_A]
    assert attentions(unit, B) == []


@BOTH
@pytest.mark.parametrize("kind", [0, *ALL_TYPES])
def test_5_7_11_4_2_a_key_that_nobody_has_is_a_conflict(action: int, kind: int) -> None:
    unit = unit_with(A, B, kind=kind)
    assert out(unit, A, action, KEY_A, KEY_C, kind=WERO) == "conflict"
    assert keys(unit) == [KEY_A, KEY_B]
    assert reservation(unit)[1] == kind


@BOTH
@pytest.mark.parametrize("kind", [0, *NOT_ALL_REGISTRANTS])
def test_5_7_11_4_2_key_zero_without_an_all_registrants_type_is_26h(action: int, kind: int) -> None:
    unit = unit_with(A, B, kind=kind)
    assert out(unit, A, action, KEY_A, 0, kind=WERO) == "5/26/00"
    assert keys(unit) == [KEY_A, KEY_B]


# --- Preempting the reservation, 5.7.11.4.3 -----------------------------------------------------


@BOTH
@pytest.mark.parametrize("kind", NOT_ALL_REGISTRANTS)
@pytest.mark.parametrize("new", ALL_TYPES)
def test_5_7_11_4_3_the_holders_key_takes_the_reservation(action: int, kind: int, new: int) -> None:
    unit = unit_with(A, B, C, kind=kind)
    assert out(unit, B, action, KEY_B, KEY_A, kind=new) == "good"
    assert keys(unit) == [KEY_B, KEY_C]
    assert reservation(unit) == (0 if new in ALL_REGISTRANTS else KEY_B, new)
    assert attentions(unit, A) == [PREEMPTED_REGISTRATIONS]
    assert attentions(unit, B) == []
    assert attentions(unit, C) == ([] if new == kind else [RELEASED])


@BOTH
@pytest.mark.parametrize("new", [WERO, EARO])
def test_5_7_11_4_3_a_holder_may_preempt_itself(action: int, new: int) -> None:
    unit = unit_with(A, B, kind=WERO)
    assert out(unit, A, action, KEY_A, KEY_A, kind=new) == "good"
    assert keys(unit) == [KEY_A, KEY_B]
    assert reservation(unit) == (KEY_A, new)
    assert attentions(unit, A) == []
    assert attentions(unit, B) == ([] if new == WERO else [RELEASED])


@BOTH
def test_5_7_11_4_3_the_callers_registration_stays_though_it_has_the_same_key(
    action: int,
) -> None:
    unit = unit_with(A, B, kind=WERO)
    assert out(unit, B, IGNORE, 0, KEY_A) == "good"
    assert out(unit, B, action, KEY_A, KEY_A, kind=WERO) == "good"
    assert keys(unit) == [KEY_A]
    assert run(unit, B, WRITE_10, BLOCK) == "good"
    assert attentions(unit, A) == [PREEMPTED_REGISTRATIONS]


@BOTH
@pytest.mark.parametrize(("kind", "scope"), [(0, 0), (2, 0), (0xF, 0), (WERO, 1)])
def test_6_15_3_a_bad_type_or_scope_for_the_new_reservation_is_24h(
    action: int, kind: int, scope: int
) -> None:
    unit = unit_with(A, B, kind=WERO)
    assert out(unit, B, action, KEY_B, KEY_A, kind=kind, scope=scope) == "5/24/00"
    assert keys(unit) == [KEY_A, KEY_B]
    assert reservation(unit) == (KEY_A, WERO)


# --- All registrants ------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("kind", ALL_REGISTRANTS)
@pytest.mark.parametrize("new", [WERO, WEAR])
def test_5_7_11_4_3_all_registrants_key_zero_removes_everybody_else(
    action: int, kind: int, new: int
) -> None:
    unit = unit_with(A, B, C, kind=kind)
    assert out(unit, B, action, KEY_B, 0, kind=new) == "good"
    assert keys(unit) == [KEY_B]
    assert reservation(unit) == (0 if new == WEAR else KEY_B, new)
    assert attentions(unit, A) == [PREEMPTED_REGISTRATIONS]
    assert attentions(unit, C) == [PREEMPTED_REGISTRATIONS]


@BOTH
@pytest.mark.parametrize("kind", ALL_REGISTRANTS)
def test_5_7_11_4_2_all_registrants_another_key_removes_registrations_only(
    action: int, kind: int
) -> None:
    unit = unit_with(A, B, C, kind=kind)
    assert out(unit, B, action, KEY_B, KEY_A, kind=WERO) == "good"
    assert keys(unit) == [KEY_B, KEY_C]
    assert reservation(unit) == (0, kind)
    assert attentions(unit, A) == [PREEMPTED_REGISTRATIONS]
    assert attentions(unit, C) == []


@BOTH
def test_5_7_11_3_all_registrants_removing_the_last_releases(action: int) -> None:
    unit = unit_with(A, kind=WEAR)
    assert out(unit, A, action, KEY_A, KEY_A, kind=WEAR) == "good"
    assert keys(unit) == []
    assert reservation(unit) == (0, 0)


# --- Tasks, 5.7.11.5 ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0, *ALL_TYPES])
@pytest.mark.parametrize("holder", [A, B])
def test_5_7_11_5_the_tasks_of_the_victim_are_aborted_whoever_holds(
    kind: int, holder: Nexus
) -> None:
    unit = unit_with(A, B, kind=kind, holder=holder)
    if kind in (WE, EA) and holder is A:
        tag = unit.submit(B, READ_16)  # B may not write here; its task is aborted all the same
    else:
        tag = unit.submit(B, WRITE_16, BLOCK)
    assert out(unit, A, ABORT, KEY_A, KEY_B, kind=WERO) == "good"
    assert unit.complete(tag) is None
    assert data_of(unit, A, READ_10) == bytes(512)


def test_5_7_11_5_every_nexus_with_the_key_and_nobody_else() -> None:
    unit = unit_with(A, B, C, kind=WERO)
    other = Nexus(B.initiator, "00023d000009", 2)
    assert out(unit, other, REGISTER, 0, KEY_B) == "good"
    tags = {nexus: unit.submit(nexus, WRITE_16, BLOCK) for nexus in (A, B, C, other)}
    assert out(unit, A, ABORT, KEY_A, KEY_B, kind=WERO) == "good"
    assert unit.complete(tags[B]) is None
    assert unit.complete(tags[other]) is None
    for survivor in (A, C):
        response = unit.complete(tags[survivor])
        assert response is not None and outcome(response) == "good"


def test_5_7_11_5_all_target_ports_of_an_all_tg_pt_registration() -> None:
    unit = unit_with(B, kind=WERO, holder=B)
    assert out(unit, A, REGISTER, 0, KEY_A, flags=4) == "good"
    tag = unit.submit(A2, WRITE_16, BLOCK)
    assert out(unit, B, ABORT, KEY_B, KEY_A, kind=WERO) == "good"
    assert unit.complete(tag) is None


@pytest.mark.parametrize("kind", ALL_REGISTRANTS)
def test_5_7_11_5_key_zero_aborts_the_tasks_of_all_registered_nexuses(kind: int) -> None:
    unit = unit_with(A, B, C, kind=kind)
    tags = [unit.submit(nexus, WRITE_16, BLOCK) for nexus in (A, B, C)]
    assert out(unit, A, ABORT, KEY_A, 0, kind=WERO) == "good"
    assert [unit.complete(tag) for tag in tags] == [None, None, None]


def test_5_7_11_5_preempting_oneself_aborts_ones_own_tasks() -> None:
    unit = unit_with(A, kind=WERO)
    tag = unit.submit(A, WRITE_16, BLOCK)
    assert out(unit, A, ABORT, KEY_A, KEY_A, kind=WERO) == "good"
    assert unit.complete(tag) is None


@pytest.mark.parametrize(("key", "action_key"), [(KEY_A, KEY_C), (KEY_C, KEY_B)])
def test_5_7_11_5_a_conflict_aborts_nothing(key: int, action_key: int) -> None:
    unit = unit_with(A, B, kind=WERO)
    tag = unit.submit(B, WRITE_16, BLOCK)
    assert out(unit, A, ABORT, key, action_key, kind=WERO) == "conflict"
    assert unit.complete(tag) is not None


def test_5_7_11_4_preempt_alone_leaves_tasks_in_flight() -> None:
    """What was accepted before is done after; this is what makes PREEMPT alone not a fence."""
    unit = unit_with(A, B, kind=WERO)
    tag = unit.submit(B, WRITE_16, BLOCK)
    assert out(unit, A, PREEMPT, KEY_A, KEY_B, kind=WERO) == "good"
    assert data_of(unit, A, READ_10) == bytes(512)
    response = unit.complete(tag)
    assert response is not None and outcome(response) == "good"
    assert data_of(unit, A, READ_10) == BLOCK


@BOTH
def test_5_7_1_the_victim_cannot_write_any_more(action: int) -> None:
    unit = unit_with(A, B, kind=WERO)
    assert out(unit, A, action, KEY_A, KEY_B, kind=WERO) == "good"
    assert run(unit, B, WRITE_10, BLOCK) == "conflict"
    assert run(unit, B, WRITE_SAME_16, BLOCK) == "conflict"
    assert attentions(unit, B) == [PREEMPTED_REGISTRATIONS]
    assert run(unit, B, WRITE_10, BLOCK) == "conflict"
    assert out(unit, B, ABORT, KEY_B, KEY_A, kind=WERO) == "conflict"
