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

# (INQUIRY vendor, prefix of the LU's identity), empty for any -> why the reset alone drains there.
#
# Linux LIO (drivers/target, 6.1) notes with each command the key of whoever *holds* the
# reservation (target_scsi3_pr_reservation_check()), and PREEMPT AND ABORT aborts what bears the
# victim's: nothing where a survivor holds, everybody's commands where the victim does.  What it
# aborts it answers with TASK ABORTED, and it waits until the victim has acknowledged that
# (iscsit_ack_from_expstatsn()); one that is frozen or dead never does, so the wait is for the end
# of its session, up to 45 s.  Meanwhile the caller's own session is served no more.  A reset waits
# as long, but hinders no session, and only for commands that have not ended when it comes.
#
# Products built on LIO may set another vendor; the identity begins with 6 and LIO's company ID
# 001405h all the same.
_LIO = "Linux LIO aborts nothing where the victim does not hold the reservation"
QUIRKS = (
    ("LIO-ORG", "", _LIO),
    ("", "naa.6001405", _LIO),
)


class Drain:
    """How the keys go, and what to do then.

    ``always``: reset the LU, whoever aborted what.  ``if_unconfirmed``: reset
    it only where no PREEMPT AND ABORT of this action was answered GOOD.
    ``reset_alone``: the target is not asked to abort anything (PREEMPT), and
    is given time to finish what it has before the reset, which always follows.
    ``wait_seconds``: let that much time pass.
    """

    __slots__ = ("name", "always", "if_unconfirmed", "reset_alone", "wait_seconds")

    def __init__(
        self,
        name: str,
        always: bool = False,
        if_unconfirmed: bool = False,
        reset_alone: bool = False,
        wait_seconds: float = 0,
    ) -> None:
        if reset_alone and not always:
            raise ValueError("PREEMPT without a reset after it would leave commands in the device")
        self.name = name
        self.always = always
        self.if_unconfirmed = if_unconfirmed
        self.reset_alone = reset_alone
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
        return Drain(policy, wait_seconds=seconds)
    if policy == TARGET:
        return Drain(TARGET)
    if quirk_of(vendor, identity):
        return Drain(RESET, always=True, reset_alone=True)
    if policy == RESET:
        return Drain(RESET, always=True)
    return Drain(AUTO, if_unconfirmed=True)


def quirk_of(vendor: str, identity: str) -> str:
    """Why only a reset drains this kind of target; empty if PREEMPT AND ABORT does."""
    for known_vendor, prefix, reason in QUIRKS:
        if vendor == (known_vendor or vendor) and identity.startswith(prefix):
            return reason
    return ""
