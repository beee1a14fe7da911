"""The two sides: a simulated logical unit, and LIO in the lab."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fence_prbarrier.simulator.unit import LogicalUnit
from fence_prbarrier.simulator.values import Nexus

from ..lab.san import INITIATORS, Lab
from .commands import (
    ALL_TG_PT,
    CLEAR,
    FULL_STATUS,
    IGNORE,
    Answer,
    Command,
    answers,
    block,
    pr_in,
    pr_out,
    unit_ready,
)

BLOCKS = 32768  # of each LU of the lab
USED_BLOCKS = 8  # the first ones and the last are written to
SWEEP_KEY = 0x5357454550
WRITE_10 = 0x2A
PORT = 1  # the lab's one target port
RUN_TIMEOUT_S = 300.0

# Before each sequence: no registration, no reservation, no APTPL, no unit attention, zeros in the
# blocks. The last command shows it, and tells PRGENERATION, which only a loss of power resets.
PROLOGUE: tuple[Command, ...] = (
    *(unit_ready(nexus) for nexus in range(3) for _ in range(2)),
    pr_out(0, IGNORE, 0, SWEEP_KEY, flags=ALL_TG_PT),
    pr_out(0, CLEAR, SWEEP_KEY),
    *(unit_ready(nexus) for nexus in range(3) for _ in range(2)),
    block(0, WRITE_10, 0, USED_BLOCKS),
    block(0, WRITE_10, BLOCKS - 1, 1),
    pr_in(0, FULL_STATUS, 8),
)


class Unclean(Exception):
    """The prologue has not brought the target into the state in which sequences begin."""


class Simulated:
    """A simulated LU at the beginning of a sequence."""

    def __init__(self, nexuses: Sequence[Nexus], profile: str = "lio", generation: int = 0) -> None:
        self.nexuses = nexuses
        self.unit = LogicalUnit(profile, blocks=BLOCKS)
        for command in PROLOGUE:
            self.send(command)
        self.unit.reservations.generation = generation

    def send(self, command: Command) -> Answer:
        """Execute one command."""
        nexus = self.nexuses[command.nexus]
        if command.cdb:
            reply = self.unit.command(nexus, command.cdb, command.out, command.length)
        else:
            reply = self.unit.reset(nexus)
        data = reply.data if reply.status == 0 else b""
        return Answer(reply.status, reply.sense, data, reply.host_status)


class Lio:
    """LUN 0 of the lab, from its three initiators."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.nodes = [lab.sg(who) for who in INITIATORS]
        self.nexuses = self._nexuses()

    def _nexuses(self) -> list[Nexus]:
        """The names under which the target knows the initiators: they stand in its descriptors."""
        registering = [pr_out(nexus, IGNORE, 0, nexus + 1) for nexus in range(3)]
        told = self.send([*PROLOGUE, *registering, pr_in(0, FULL_STATUS), *PROLOGUE])
        data = told[len(PROLOGUE) + len(registering)].data
        ports = re.findall(rb"(iqn[^,]+),i,0x([0-9a-f]{12})", data)
        if len(ports) != len(INITIATORS):
            raise Unclean(f"not {len(INITIATORS)} initiators in {data.hex()}")
        return [Nexus(name.decode(), isid.decode(), PORT) for name, isid in ports]

    def send(self, commands: Sequence[Command]) -> list[Answer]:
        """Run commands as they are, and return their answers."""
        source = self.lab.guest.share("commands", b"".join(map(Command.record, commands)))
        count = self.lab.guest.call(
            "run_file", RUN_TIMEOUT_S, nodes=self.nodes, source=source, sink="/lab/answers"
        )
        told = list(answers((self.lab.guest.scratch / "answers").read_bytes()))
        if not count == len(told) == len(commands):
            raise Unclean(f"{len(commands)} commands, {count} executed, {len(told)} answers")
        return told

    def run(self, sequences: Sequence[Sequence[Command]]) -> list[tuple[int, list[Answer]]]:
        """Run sequences, each after a prologue: PRGENERATION at its begin, and its answers."""
        commands = [each for sequence in sequences for each in (*PROLOGUE, *sequence)]
        told = self.send(commands)
        found, at = [], 0
        for sequence in sequences:
            at += len(PROLOGUE)
            state = told[at - 1]
            if state.status or len(state.data) != 8 or any(state.data[4:]):
                raise Unclean(f"{state.words()} {state.data.hex()}")
            generation = int.from_bytes(state.data[:4], "big")
            found.append((generation, told[at : at + len(sequence)]))
            at += len(sequence)
        return found
