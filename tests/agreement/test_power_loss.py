"""A loss of the target's power after a random sequence: LIO and the simulator come back alike.

LIO restores what it saved because of APTPL when its initiators log in again, so in the order in
which they do: the registrations are compared as a set. A reservation of type 8 cannot be written
back (the kernel saves it as "08", and refuses that as an octal number), so there is none here;
nor are there TransportIDs: after a REGISTER with a bad one the target cannot be taken down any
more (core_scsi3_decode_spec_i_port keeps its reference to the sender's pr_reg_deve).
"""

from __future__ import annotations

import pytest

from ..lab.san import INITIATORS
from .commands import CAPABILITIES, FULL_STATUS, RESERVATION, Answer, block, pr_in, unit_ready
from .compare import difference, transcript
from .generate import Generator
from .sides import USED_BLOCKS, Lio, Simulated

SEED = 20261126
LOSSES = {True: 4, False: 2}  # with APTPL and without
READ_10 = 0x28
EXCLUSIVE_ACCESS_ALL_REGISTRANTS = 8
LOOK = (
    *(unit_ready(nexus) for nexus in range(len(INITIATORS))),
    *(pr_in(1, action) for action in (FULL_STATUS, RESERVATION, CAPABILITIES)),
    block(1, READ_10, 0, USED_BLOCKS),
)


def _in_order(answer: Answer) -> tuple[bytes, list[bytes]]:
    """The header of READ FULL STATUS, and its descriptors sorted."""
    head, rest, found = answer.data[:8], answer.data[8:], []
    while rest:
        length = 24 + int.from_bytes(rest[20:24], "big")
        found.append(rest[:length])
        rest = rest[length:]
    return head, sorted(found)


def _worth_it(side: Simulated, aptpl: bool) -> bool:
    state = side.unit.reservations
    kept = state.type not in (0, EXCLUSIVE_ACCESS_ALL_REGISTRANTS)
    return state.aptpl is aptpl and len(state.registrations) > 1 and kept


@pytest.mark.parametrize("aptpl", LOSSES)
def test_a_loss_of_power(lio: Lio, aptpl: bool) -> None:
    """Registrations, reservation, capabilities and medium after it are the same."""
    generator, losses = Generator(SEED, names_ports=False), 0
    while losses < LOSSES[aptpl]:
        side = Simulated(lio.nexuses)
        sequence = generator.sequence(side)
        if not _worth_it(side, aptpl):
            continue
        losses += 1
        generation, told = lio.run([sequence])[0]
        found = difference(generation, sequence, told, lio)
        assert found is None, transcript(found, lio)
        restored = lio.lab.power_cycle()
        lio.nodes = [lio.lab.sg(who) for who in INITIATORS]
        side.unit.power_cycle()
        assert restored == len(side.unit.reservations.registrations)
        theirs = lio.send(LOOK)
        ours = [side.send(command) for command in LOOK]
        at = len(INITIATORS)
        assert _in_order(theirs.pop(at)) == _in_order(ours.pop(at))
        assert theirs == ours
