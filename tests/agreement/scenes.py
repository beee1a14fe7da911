"""What LIO does in its own way, in short: each command with the answer that it gets."""

from __future__ import annotations

from collections.abc import Sequence

from fence_prbarrier.simulator.values import Nexus

from .commands import (
    CLEAR,
    IGNORE,
    KEYS,
    PREEMPT,
    REGISTER,
    RELEASE,
    RESERVATION,
    RESERVE,
    Command,
    block,
    move,
    pr_in,
    pr_out,
    transport_id,
    unit_ready,
    unit_reset,
)

A, B, C = 0xA1, 0xB2, 0xC3
WE, EA, WERO, WEAR, EAAR = 1, 3, 5, 7, 8
WRITE_10, SYNCHRONIZE_CACHE_10 = 0x2A, 0x35
GOOD, CONFLICT = "GOOD", "RESERVATION CONFLICT"
PREEMPTED, RELEASED = "CHECK CONDITION 6/2a/03", "CHECK CONDITION 6/2a/04"
REMOVED, RESET = "CHECK CONDITION 6/2a/05", "CHECK CONDITION 6/29/03"

Scene = list[tuple[Command, str]]


def _members(*keys: int) -> Scene:
    return [(pr_out(nexus, IGNORE, 0, key), GOOD) for nexus, key in enumerate(keys)]


def _to(nexuses: Sequence[Nexus], nexus: int) -> bytes:
    return transport_id(nexuses[nexus].initiator, nexuses[nexus].isid)


def moved_there_and_back(nexuses: Sequence[Nexus]) -> Scene:
    """A reservation that was moved away and back is nobody's to release."""
    return [
        *_members(A, B),
        (pr_out(0, RESERVE, A, kind=WERO), GOOD),
        (move(0, A, B, 0, 1, _to(nexuses, 1)), GOOD),
        (move(1, B, A, 0, 1, _to(nexuses, 0)), GOOD),
        (pr_out(0, RELEASE, A, kind=WERO), CONFLICT),
        (pr_out(0, RESERVE, A, kind=WERO), CONFLICT),
        (pr_out(0, PREEMPT, A, A, WERO), GOOD),
        (unit_ready(1), RELEASED),  # the type has not changed
        (pr_out(0, RELEASE, A, kind=WERO), GOOD),
    ]


def one_holds_for_all(nexuses: Sequence[Nexus]) -> Scene:
    """Under type 7 a PREEMPT of the key of the one who reserved changes the type."""
    return [
        *_members(A, B, C),
        (pr_out(0, RESERVE, A, kind=WEAR), GOOD),
        (pr_out(2, PREEMPT, C, B, EA), GOOD),
        (unit_ready(0), GOOD),
        (unit_ready(1), REMOVED),
        (pr_out(2, PREEMPT, C, A, EA), GOOD),
        (unit_ready(0), REMOVED),
        (block(0, WRITE_10, 0, 1), CONFLICT),
        (pr_out(2, RELEASE, C, kind=EA), GOOD),
    ]


def the_oldest_follows(nexuses: Sequence[Nexus]) -> Scene:
    """When the one that holds for all leaves, the oldest registration holds for all."""
    return [
        *_members(A, B, C),
        (pr_out(1, RESERVE, B, kind=EAAR), GOOD),
        (pr_out(1, REGISTER, B, 0), GOOD),
        (pr_out(2, PREEMPT, C, A, WERO), GOOD),
        (unit_ready(0), REMOVED),
        (pr_out(2, RELEASE, C, kind=WERO), GOOD),
    ]


def who_follows_has_the_right_scope(nexuses: Sequence[Nexus]) -> Scene:
    """The scope that a move has spoilt is made good for the one that follows the holder."""
    return [
        *_members(A, B),
        (pr_out(0, RESERVE, A, kind=WERO), GOOD),
        (move(0, A, B, 0, 1, _to(nexuses, 1)), GOOD),
        (move(1, B, A, 0, 1, _to(nexuses, 0)), GOOD),
        (pr_out(0, PREEMPT, A, A, EAAR), GOOD),
        (unit_ready(1), RELEASED),
        (pr_out(0, REGISTER, A, 0), GOOD),
        (pr_out(1, RELEASE, B, kind=EAAR), GOOD),
        (pr_in(1, RESERVATION), GOOD),
    ]


def one_attention_hides_the_others(nexuses: Sequence[Nexus]) -> Scene:
    """Who was preempted hears of a release, or of a reset, instead."""
    return [
        *_members(A, B),
        (pr_out(0, RESERVE, A, kind=WERO), GOOD),
        (pr_out(0, RELEASE, A, kind=WERO), GOOD),
        (pr_out(0, PREEMPT, A, B, WERO), GOOD),
        (unit_ready(1), RELEASED),
        (unit_ready(1), GOOD),
        (pr_out(1, IGNORE, 0, B), GOOD),
        (pr_out(0, CLEAR, A), GOOD),
        (unit_reset(0), GOOD),
        (unit_ready(1), RESET),
        (unit_ready(1), GOOD),
    ]


def own_key_given_away(nexuses: Sequence[Nexus]) -> Scene:
    """PREEMPT of one's own key without holding ends one's own registration, silently."""
    return [
        *_members(A, B),
        (pr_out(0, RESERVE, A, kind=WERO), GOOD),
        (pr_out(1, PREEMPT, B, B, WERO), GOOD),
        (unit_ready(1), GOOD),
        (block(1, WRITE_10, 0, 1), CONFLICT),
    ]


def no_data_no_direction(nexuses: Sequence[Nexus]) -> Scene:
    """Under type 1 who is not registered may do what a registrant may not."""
    nothing = block(2, WRITE_10, 0, 1)._replace(out=b"")
    return [
        *_members(A, B),
        (pr_out(0, RESERVE, A, kind=WE), GOOD),
        (block(2, SYNCHRONIZE_CACHE_10, 0, 1), GOOD),
        (block(1, SYNCHRONIZE_CACHE_10, 0, 1), CONFLICT),
        (nothing, GOOD),
        (nothing._replace(nexus=1), CONFLICT),
        (block(2, WRITE_10, 0, 1), CONFLICT),
    ]


def short_answers(nexuses: Sequence[Nexus]) -> Scene:
    """Keys and reservations of which only a part fits."""
    return [
        *_members(A << 56, B),
        (pr_out(0, RESERVE, A << 56, kind=WERO), GOOD),
        (pr_in(2, KEYS, 12), GOOD),
        (pr_in(2, RESERVATION, 21), GOOD),
        (pr_in(2, RESERVATION, 22), GOOD),
        (pr_in(2, RESERVATION, 7), "CHECK CONDITION 5/24/00"),
    ]


SCENES = (
    moved_there_and_back,
    one_holds_for_all,
    the_oldest_follows,
    who_follows_has_the_right_scope,
    one_attention_hides_the_others,
    own_key_given_away,
    no_data_no_direction,
    short_answers,
)
