"""What LIO does and profile `lio` does not, on purpose: few, narrow, and each one seen.

Each is a sequence whose last command, and no other, the two answer differently. The random
sequences contain none of them; a test fails when one of them does not differ any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, NamedTuple

from fence_prbarrier.simulator.values import Nexus

from .commands import KEYS, Command, pr_in, transport_id, with_ports

KEY = 0xA1


class Abstraction(NamedTuple):
    """Something that is left out, and why."""

    what: str
    why: str
    script: Callable[[Sequence[Nexus]], list[Command]]


def _named(name: str, isid: str) -> Command:
    return with_ports(0, 0, KEY, 0, transport_id(name, isid))


ABSTRACTIONS = (
    Abstraction(
        "INQUIRY and its pages",
        "a simulated LU says of itself what it is; it has fewer pages",
        lambda nexuses: [Command(0, bytes((0x12, 0, 0, 0, 96, 0)), length=96)],
    ),
    Abstraction(
        "RESERVE and RELEASE of SPC-2, which LIO has (CRH)",
        "nothing here sends them; a target without them refuses them as an operation code",
        lambda nexuses: [Command(0, bytes((0x17, 0, 0, 0, 0, 0)))],
    ),
    Abstraction(
        "commands that a barrier does not depend on, such as MODE SENSE",
        "the simulator has block commands enough to show who may write and read",
        lambda nexuses: [Command(0, bytes((0x1A, 0, 0x08, 0, 192, 0)), length=192)],
    ),
    Abstraction(
        "a TransportID with the ISID of no session, which LIO registers",
        "the simulator knows an initiator port when it has sent a command",
        lambda nexuses: [_named(nexuses[1].initiator, "0123456789ab")],
    ),
    Abstraction(
        "a TransportID of the sender itself, which LIO registers a second time",
        "one I_T nexus has one registration, 5.7.7; the simulator's files hold to that",
        lambda nexuses: [_named(nexuses[0].initiator, nexuses[0].isid), pr_in(0, KEYS)],
    ),
)
