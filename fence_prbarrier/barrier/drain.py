"""Drain policy: how a victim's commands that are already in the device come to an end (rule 9).

PREEMPT AND ABORT promises it (SPC-4 5.13.11.2.6); not every target keeps it.
"""

from __future__ import annotations

from ..errors import InvalidInput, quoted

TARGET = "target"
RESET = "reset"
WAIT = "wait"
AUTO = "auto"

MAX_WAIT_SECONDS = 3600

# (INQUIRY vendor, prefix of the LU's identity), empty for any -> why PREEMPT AND ABORT
# alone is not enough there.
#
# Linux LIO: core_scsi3_pro_preempt() in drivers/target/target_core_pr.c aborts only
# where the victim holds the reservation.  Measured on Linux 6.1: with a survivor as
# holder, GOOD comes 2.4 s before the victim's write ends.  Products built on LIO may
# set another vendor; the identity begins with 6 and LIO's company ID 001405h all the same.
_LIO = "Linux LIO aborts nothing where the victim does not hold the reservation"
QUIRKS = (
    ("LIO-ORG", "", _LIO),
    ("", "naa.6001405", _LIO),
)


class Drain:
    """What to do after the keys are gone.

    ``always``: reset the LU, whoever aborted what.  ``if_unconfirmed``: reset
    it only where no PREEMPT AND ABORT of this action was answered GOOD.
    ``wait_seconds``: let that much time pass.
    """

    __slots__ = ("name", "always", "if_unconfirmed", "wait_seconds")

    def __init__(
        self, name: str, always: bool, if_unconfirmed: bool, wait_seconds: float = 0
    ) -> None:
        self.name = name
        self.always = always
        self.if_unconfirmed = if_unconfirmed
        self.wait_seconds = wait_seconds


def check_policy(text: str) -> str:
    """The policy itself, or InvalidInput."""
    if text in (TARGET, RESET, AUTO):
        return text
    kind, _, seconds = text.partition(":")
    # Not longer than a number of seconds is: int() refuses thousands of digits in its own words.
    plain = seconds.isascii() and seconds.isdigit() and len(seconds) < 10
    number = int(seconds) if plain else 0
    if kind == WAIT and 0 < number <= MAX_WAIT_SECONDS:
        return text
    raise InvalidInput(
        f"drain={quoted(text)}: expected auto, target, reset, or wait:SECONDS with 1 to"
        f" {MAX_WAIT_SECONDS} seconds"
    )


def wait_seconds(policy: str) -> int:
    """The seconds of ``wait:SECONDS``, 0 for every other policy."""
    kind, _, seconds = policy.partition(":")
    return int(seconds) if kind == WAIT else 0


def resolve(policy: str, vendor: str, identity: str) -> Drain:
    """The policy for one LU; ``auto`` asks the quirk table, then trusts the standard."""
    check_policy(policy)
    seconds = wait_seconds(policy)
    if seconds:
        return Drain(policy, always=False, if_unconfirmed=False, wait_seconds=seconds)
    if policy == TARGET:
        return Drain(TARGET, always=False, if_unconfirmed=False)
    if policy == RESET or quirk_of(vendor, identity):
        return Drain(RESET, always=True, if_unconfirmed=True)
    return Drain(AUTO, always=False, if_unconfirmed=True)


def quirk_of(vendor: str, identity: str) -> str:
    """Why this kind of target needs a reset; empty if it does not."""
    for known_vendor, prefix, reason in QUIRKS:
        if vendor == (known_vendor or vendor) and identity.startswith(prefix):
            return reason
    return ""
