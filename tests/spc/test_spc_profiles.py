"""How the named targets depart from the standard, and that `spec` does not."""

from __future__ import annotations

import pytest

from fence_prbarrier.simulator.unit import LogicalUnit

from .wire import (
    A2,
    ABORT,
    BLOCK,
    CLEAR,
    EA,
    EARO,
    IGNORE,
    INQUIRY,
    KEY_A,
    KEY_B,
    KEY_C,
    PREEMPT,
    PREEMPTED_RESERVATIONS,
    READ_10,
    READ_CAPACITY_10,
    READ_CAPACITY_16,
    READ_FULL_STATUS,
    READ_KEYS,
    REGISTER,
    RELEASE,
    RELEASED,
    REPORT_CAPABILITIES,
    RESERVE,
    SYNCHRONIZE_CACHE_10,
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
    attentions,
    data_of,
    keys,
    out,
    out_cdb,
    outcome,
    plist,
    reservation,
    run,
    unit_with,
)

ALL_TG_PT, APTPL = 0x04, 0x01


@pytest.mark.parametrize(
    ("profile", "vendor", "product"),
    [
        ("spec", b"PRBARRIE", b"SIMULATED-LU    "),
        ("lio", b"LIO-ORG ", b"FILEIO          "),
        ("tgt", b"IET     ", b"VIRTUAL-DISK    "),
        ("liar", b"FreeBSD ", b"iSCSI DISK      "),
    ],
)
def test_inquiry(profile: str, vendor: bytes, product: bytes) -> None:
    data = data_of(LogicalUnit(profile), A, INQUIRY)
    assert (data[8:16], data[16:32]) == (vendor, product)


@pytest.mark.parametrize(
    ("profile", "aptpl", "expected"),
    [
        ("lio", 0, "00081d90ea010000"),
        ("lio", APTPL, "00081d91ea010000"),
        ("tgt", 0, "00080080ea010000"),
    ],
)
def test_report_capabilities(profile: str, aptpl: int, expected: str) -> None:
    unit = LogicalUnit(profile)
    assert out(unit, A, REGISTER, 0, KEY_A, flags=aptpl) == "good"
    assert data_of(unit, A, REPORT_CAPABILITIES).hex() == expected


@pytest.mark.parametrize("profile", ["spec", "lio", "tgt", "liar"])
@pytest.mark.parametrize("kind", [WE, EA, WERO, EARO, WEAR, 8])
def test_every_profile_keeps_an_unregistered_writer_out(profile: str, kind: int) -> None:
    unit = unit_with(A, kind=kind, profile=profile)
    assert run(unit, B, WRITE_10, BLOCK) == "conflict"
    assert run(unit, B, WRITE_16, BLOCK) == "conflict"
    assert run(unit, A, WRITE_16, BLOCK) == "good"


@pytest.mark.parametrize("profile", ["spec", "lio", "tgt"])
def test_preempt_removes_the_victim(profile: str) -> None:
    unit = unit_with(A, B, kind=WERO, profile=profile)
    assert out(unit, A, PREEMPT, KEY_A, KEY_B, kind=WERO) == "good"
    assert keys(unit) == [KEY_A]
    assert out(unit, A, PREEMPT, KEY_A, KEY_C, kind=WERO) == "conflict"


# --- lio -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "free", "reserved"),
    [
        (RESERVE, "2/08/00", "conflict"),
        (RELEASE, "2/08/00", "conflict"),
        (CLEAR, "2/08/00", "conflict"),
        (PREEMPT, "conflict", "conflict"),
        (ABORT, "conflict", "conflict"),
    ],
)
def test_lio_unregistered_nexus(action: int, free: str, reserved: str) -> None:
    assert out(unit_with(A, profile="lio"), B, action, 0, KEY_A, kind=WERO) == free
    unit = unit_with(A, kind=WERO, profile="lio")
    assert out(unit, B, action, 0, KEY_A, kind=WERO) == reserved


def test_lio_release_of_another_type_is_a_conflict() -> None:
    unit = unit_with(A, kind=WERO, profile="lio")
    assert out(unit, A, RELEASE, KEY_A, kind=EARO) == "conflict"
    assert reservation(unit) == (KEY_A, WERO)


@pytest.mark.parametrize("profile", ["lio", "tgt"])
def test_release_by_who_does_not_hold_ignores_the_key(profile: str) -> None:
    unit = unit_with(A, B, kind=WERO, profile=profile)
    assert out(unit, B, RELEASE, KEY_C, kind=WERO) == "good"
    assert out(unit, A, RELEASE, KEY_C, kind=WERO) == "conflict"
    assert reservation(unit) == (KEY_A, WERO)


def test_lio_where_a_survivor_holds_the_victims_task_goes_on() -> None:
    unit = unit_with(A, B, kind=WERO, profile="lio")
    tag = unit.submit(B, WRITE_16, BLOCK)
    assert out(unit, A, ABORT, KEY_A, KEY_B, kind=WERO) == "good"
    assert keys(unit) == [KEY_A]
    response = unit.complete(tag)
    assert response is not None and outcome(response) == "good"
    assert data_of(unit, A, READ_10) == BLOCK


def test_lio_where_the_victim_holds_its_task_is_aborted_and_so_are_the_others() -> None:
    unit = unit_with(A, B, C, kind=WERO, holder=B, profile="lio")
    tags = [unit.submit(nexus, WRITE_16, BLOCK) for nexus in (B, C)]
    assert out(unit, A, ABORT, KEY_A, KEY_B, kind=WERO) == "good"
    assert [unit.complete(tag) for tag in tags] == [None, None]


def test_lio_a_reset_drains_whoever_holds() -> None:
    unit = unit_with(A, B, kind=WERO, profile="lio")
    tag = unit.submit(B, WRITE_16, BLOCK)
    assert out(unit, A, ABORT, KEY_A, KEY_B, kind=WERO) == "good"
    assert unit.reset(A).status == 0
    assert unit.complete(tag) is None
    assert reservation(unit) == (KEY_A, WERO)


def test_lio_full_status_declares_what_it_copied() -> None:
    unit = unit_with(A, B, kind=WERO, profile="lio")
    whole = data_of(unit, A, READ_FULL_STATUS)
    assert int.from_bytes(whole[4:8], "big") == len(whole) - 8
    one = (len(whole) - 8) // 2
    for length in (8, one - 25):
        data = data_of(unit, A, _full_status_of(length))
        assert data[4:8] == bytes(4)
    data = data_of(unit, A, _full_status_of(one + 8))
    assert data[4:8] == one.to_bytes(4, "big") and len(data) == one + 8
    # The TransportID alone is compared, so the second one is declared and cut.
    data = data_of(unit, A, _full_status_of(one + one - 24))
    assert data[4:8] == (2 * one).to_bytes(4, "big") and len(data) == 2 * one - 24


def _full_status_of(length: int) -> bytes:
    return bytes.fromhex("5e 03 00 00 00 00 00") + length.to_bytes(2, "big") + b"\0"


@pytest.mark.parametrize(
    ("profile", "action", "least"),
    [
        ("lio", 0, 8),
        ("lio", 1, 8),
        ("lio", 2, 6),
        ("lio", 3, 8),
        ("tgt", 0, 8),
        ("tgt", 1, 8),
        ("tgt", 2, 8),
    ],
)
def test_short_allocation_lengths_are_refused(profile: str, action: int, least: int) -> None:
    unit = LogicalUnit(profile)
    cdb = bytes((0x5E, action, 0, 0, 0, 0, 0, 0))
    assert run(unit, A, cdb + bytes((least - 1, 0))) == "5/24/00"
    assert run(unit, A, cdb + bytes((least, 0))) == "good"
    assert run(LogicalUnit(), A, cdb + bytes((least - 1, 0))) == "good"


def test_lio_all_tg_pt_sticks() -> None:
    unit = LogicalUnit("lio")
    assert out(unit, A, REGISTER, 0, KEY_A, flags=ALL_TG_PT) == "good"
    assert out(unit, A, REGISTER, KEY_A, 0) == "5/24/00"
    assert out(unit, A, IGNORE, 0, KEY_B) == "5/24/00"
    assert out(unit, A2, REGISTER, KEY_A, 0, flags=ALL_TG_PT) == "good"
    assert keys(unit) == []


def test_lio_clear_ends_aptpl() -> None:
    for profile, left in (("lio", 0), ("spec", 1)):
        unit = LogicalUnit(profile)
        assert out(unit, A, REGISTER, 0, KEY_A, flags=APTPL) == "good"
        assert out(unit, A, CLEAR, KEY_A) == "good"
        assert data_of(unit, A, REPORT_CAPABILITIES)[3] & 1 == left


def test_lio_a_unit_attention_precedes_a_reservation_conflict() -> None:
    unit = unit_with(A, B, kind=WERO, profile="lio")
    assert out(unit, A, PREEMPT, KEY_A, KEY_B, kind=WERO) == "good"
    assert run(unit, B, WRITE_10, BLOCK) == "6/2a/05"
    assert run(unit, B, WRITE_10, BLOCK) == "conflict"


def test_lio_judges_by_the_direction_of_the_data() -> None:
    unit = unit_with(A, kind=EARO, profile="lio")
    assert run(unit, B, READ_CAPACITY_10) == "conflict"
    assert run(unit, B, READ_CAPACITY_16) == "conflict"
    unit = unit_with(A, kind=WERO, profile="lio")
    assert run(unit, B, SYNCHRONIZE_CACHE_10) == "good"


def test_lio_scope_and_type() -> None:
    unit = unit_with(A, B, kind=WERO, profile="lio")
    assert out(unit, A, RESERVE, KEY_A, kind=WERO, scope=1) == "5/26/00"
    assert out(unit, A, PREEMPT, KEY_A, KEY_B, kind=2) == "5/24/00"
    assert keys(unit) == [KEY_A, KEY_B]


def test_lio_all_registrants_preempt_spares_the_caller() -> None:
    unit = unit_with(A, B, kind=WEAR, profile="lio")
    assert out(unit, A, PREEMPT, KEY_A, KEY_A, kind=WEAR) == "good"
    assert keys(unit) == [KEY_A, KEY_B]


@pytest.mark.parametrize("profile", ["lio", "tgt", "liar"])
def test_reserved_bits_are_not_looked_at(profile: str) -> None:
    unit = LogicalUnit(profile)
    cdb = bytes.fromhex("5f 20 00 01 01 00 00 00 18 00")
    assert run(unit, A, cdb, plist(0, KEY_A, flags=0xF2)) == "good"
    assert keys(unit) == [KEY_A]


# --- tgt -----------------------------------------------------------------------------------------


def test_tgt_has_neither_preempt_and_abort_nor_full_status() -> None:
    unit = unit_with(A, B, kind=WERO, profile="tgt")
    assert out(unit, A, ABORT, KEY_A, KEY_B, kind=WERO) == "5/24/00"
    assert run(unit, A, READ_FULL_STATUS) == "5/24/00"
    assert keys(unit) == [KEY_A, KEY_B]


def test_tgt_reserve_ignores_the_key() -> None:
    unit = unit_with(A, profile="tgt")
    assert out(unit, A, RESERVE, KEY_C, kind=WERO) == "good"
    assert reservation(unit) == (KEY_A, WERO)


@pytest.mark.parametrize("flags", [0x01, 0x04, 0x08])
def test_tgt_refuses_what_it_does_not_offer_with_24h(flags: int) -> None:
    unit = LogicalUnit("tgt")
    assert out(unit, A, REGISTER, 0, KEY_A, flags=flags) == "5/24/00"
    short = unit.command(A, out_cdb(REGISTER, length=16), plist(0, KEY_A))
    assert outcome(short) == "5/24/00"


def test_tgt_the_loser_hears_reservations_preempted() -> None:
    unit = unit_with(A, B, kind=WERO, profile="tgt")
    assert out(unit, A, PREEMPT, KEY_A, KEY_B, kind=WERO) == "good"
    assert attentions(unit, B) == [PREEMPTED_RESERVATIONS]


def test_tgt_release_tells_the_wrong_types() -> None:
    for kind, heard in ((WERO, []), (WE, [RELEASED])):
        unit = unit_with(A, B, kind=kind, profile="tgt")
        assert out(unit, A, RELEASE, KEY_A, kind=kind) == "good"
        assert attentions(unit, B) == heard


@pytest.mark.parametrize(
    "cdb", [WRITE_SAME_10, WRITE_SAME_16, WRITE_AND_VERIFY_10], ids=lambda cdb: cdb[:1].hex()
)
def test_tgt_lets_these_writes_of_anybody_through(cdb: bytes) -> None:
    unit = unit_with(A, kind=WERO, profile="tgt")
    assert run(unit, B, cdb, BLOCK) == "good"
    assert data_of(unit, A, READ_10) == BLOCK


def test_tgt_declares_the_keys_that_it_copied() -> None:
    unit = unit_with(A, B, profile="tgt")
    data = data_of(unit, A, bytes.fromhex("5e 00 00 00 00 00 00 00 0f 00"))
    assert data[4:8] == bytes.fromhex("00000008")
    assert data_of(unit, A, READ_KEYS)[4:8] == bytes.fromhex("00000010")


def test_tgt_refuses_to_cut_read_reservation() -> None:
    unit = unit_with(A, kind=WERO, profile="tgt")
    assert run(unit, A, bytes.fromhex("5e 01 00 00 00 00 00 00 17 00")) == "5/24/00"
    assert run(unit, A, bytes.fromhex("5e 01 00 00 00 00 00 00 18 00")) == "good"


def test_tgt_preempt_spares_the_caller() -> None:
    unit = unit_with(A, B, kind=WERO, profile="tgt")
    assert out(unit, B, PREEMPT, KEY_B, KEY_B, kind=WERO) == "good"
    assert keys(unit) == [KEY_A, KEY_B]


# --- liar ----------------------------------------------------------------------------------------


def test_liar_says_good_and_leaves_key_and_tasks() -> None:
    unit = unit_with(A, B, kind=WERO, profile="liar")
    tag = unit.submit(B, WRITE_16, BLOCK)
    assert out(unit, A, ABORT, KEY_A, KEY_B, kind=WERO) == "good"
    assert keys(unit) == [KEY_A, KEY_B]
    assert attentions(unit, B) == []
    assert unit.complete(tag) is not None
    assert run(unit, B, WRITE_10, BLOCK) == "good"


def test_liar_refuses_aptpl() -> None:
    assert out(LogicalUnit("liar"), A, REGISTER, 0, KEY_A, flags=APTPL) == "5/26/00"
