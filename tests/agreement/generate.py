"""Random sequences of commands, weighted towards states that mean something.

The generator drives a simulated LU as it goes and looks at it, so that most keys are right, most
preempted keys exist, and there are registrations and reservations to speak of. What it generates
depends on its random numbers and on that LU alone.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

from .commands import (
    ABORT,
    ALL_TG_PT,
    APTPL,
    CAPABILITIES,
    CLEAR,
    FULL_STATUS,
    IGNORE,
    PREEMPT,
    READ_CAPACITY_10,
    READS,
    REGISTER,
    RELEASE,
    REPLACE,
    RESERVATION,
    RESERVE,
    TYPES,
    WITHOUT_DATA,
    WRITE_SAMES,
    WRITES,
    Command,
    block,
    move,
    pr_in,
    pr_out,
    pr_out_cdb,
    request_sense,
    transport_id,
    unit_ready,
    unit_reset,
    with_ports,
)
from .sides import BLOCKS, USED_BLOCKS, Simulated

READ_10 = 0x28

LENGTHS = range(8, 32)  # commands in a sequence
POOL = (0xA1, 0xB2, 0xC3, 0xB2 << 56, (1 << 64) - 1)  # keys: few, so that some are shared
SHORT_LENGTHS = (0, 1, 4, 5, 6, 7, 8, 9, 12, 15, 16, 20, 21, 22, 23, 24, 25, 31, 32, 40, 64, 96)


class Generator:
    """Makes one sequence after another."""

    def __init__(self, seed: int, names_ports: bool = True) -> None:
        """Begin; without `names_ports` no command bears a TransportID."""
        self.random = random.Random(seed)
        ports = (Generator.register_ports, Generator.move, Generator.odd_out)
        gone = () if names_ports else ports
        self.makers, self.weights = zip(*(each for each in WEIGHTS if each[0] not in gone))
        self.side: Simulated

    def sequence(self, side: Simulated) -> list[Command]:
        """One sequence, which `side` has executed when this returns."""
        self.side = side
        commands = self._scene() if self.random.random() < 0.75 else []
        for command in commands:
            side.send(command)
        length = self.random.choice(LENGTHS)
        for maker in self.random.choices(self.makers, self.weights, k=length):
            command = maker(self, self.random.randrange(3))
            side.send(command)
            commands.append(command)
        return commands + self._epilogue()

    def _epilogue(self) -> list[Command]:
        """What shows all that a sequence has left: attentions, registrations, medium."""
        reader = self.random.randrange(3)
        return [
            *(unit_ready(nexus) for nexus in range(3) for _ in range(2)),
            *(pr_in(reader, action) for action in (FULL_STATUS, RESERVATION, CAPABILITIES)),
            block(self.random.randrange(3), READ_10, 0, USED_BLOCKS),
        ]

    def _scene(self) -> list[Command]:
        """Members with keys that are seldom equal, and mostly a reservation."""
        members = self.random.sample(range(3), self.random.choice((2, 3, 3)))
        keys = self.random.choices(POOL, k=3) if self.random.random() < 0.3 else POOL
        scene = [pr_out(who, IGNORE, 0, keys[who], flags=self._flags()) for who in members]
        if self.random.random() < 0.85:
            kind = self.random.choice(list(TYPES))
            scene.append(pr_out(members[0], RESERVE, keys[members[0]], kind=kind))
            if self.random.random() < 0.1 and Generator.move in self.makers:
                scene += self._there_and_back(members[0], members[1], keys)
        return scene

    def _there_and_back(self, one: int, other: int, keys: Sequence[int]) -> list[Command]:
        """Two REGISTER AND MOVE, of which the second undoes the first."""
        ways = ((one, other), (other, one))
        return [
            move(here, keys[here], keys[there], 0, 1, self._id_of(there)) for here, there in ways
        ]

    def _id_of(self, nexus: int) -> bytes:
        port = self.side.nexuses[nexus]
        return transport_id(port.initiator, port.isid)

    # -- what the LU looks like -------------------------------------------------------------------

    def _holder_or(self, nexus: int) -> int:
        """The nexus that holds, half of the time."""
        holder = self.side.unit.reservations.holder
        if holder is None or self.random.random() < 0.5:
            return nexus
        return self.side.nexuses.index(holder.nexus)

    def _own(self, nexus: int) -> int:
        """The key of this nexus, 0 for none; seldom a wrong one."""
        chance = self.random.random()
        if chance < 0.06:
            return self.random.choice(POOL)
        if chance < 0.09:
            return 0
        mine = self.side.unit.reservations.of(self.side.nexuses[nexus])
        return 0 if mine is None else mine.key

    def _victim(self, nexus: int) -> int:
        """A key to preempt: of somebody, of the holder, one's own, absent or zero."""
        chance = self.random.random()
        state = self.side.unit.reservations
        if chance < 0.55 and state.registrations:
            return self.random.choice(state.registrations).key
        if chance < 0.75:
            return state.holder_key()
        if chance < 0.82:
            return self._own(nexus)
        return 0 if chance < 0.9 else self.random.choice(POOL)

    def _kind(self, mostly: int = 0) -> int:
        """Scope and type: mostly a good one, or the one that is given."""
        chance = self.random.random()
        if chance < 0.06:
            return self.random.randrange(16)
        if chance < 0.1:
            return self.random.randrange(16) << 4 | self.random.choice(list(TYPES))
        return mostly if mostly and chance < 0.85 else self.random.choice(list(TYPES))

    def _flags(self) -> int:
        chance = self.random.random()
        if chance < 0.6:
            return 0
        if chance < 0.85:
            return APTPL
        return ALL_TG_PT if chance < 0.95 else self.random.choice((ALL_TG_PT | APTPL, 0x02, 0xF0))

    # -- PERSISTENT RESERVE OUT -------------------------------------------------------------------

    def register(self, nexus: int) -> Command:
        new = 0 if self.random.random() < 0.15 else self.random.choice(POOL)
        if self.random.random() < 0.5:
            return pr_out(nexus, IGNORE, self._own(nexus), new, flags=self._flags())
        return pr_out(nexus, REGISTER, self._own(nexus), new, flags=self._flags())

    def reserve(self, nexus: int) -> Command:
        return pr_out(nexus, RESERVE, self._own(nexus), kind=self._kind())

    def release(self, nexus: int) -> Command:
        nexus = self._holder_or(nexus)
        kind = self._kind(self.side.unit.reservations.type)
        return pr_out(nexus, RELEASE, self._own(nexus), kind=kind)

    def clear(self, nexus: int) -> Command:
        return pr_out(nexus, CLEAR, self._own(nexus), kind=self._kind())

    def preempt(self, nexus: int) -> Command:
        action = self.random.choice((PREEMPT, ABORT))
        kind = self._kind(self.side.unit.reservations.type)
        return pr_out(nexus, action, self._own(nexus), self._victim(nexus), kind)

    def _other(self, nexus: int) -> bytes:
        """The TransportID of one of the other two nexuses."""
        return self._id_of((nexus + self.random.choice((1, 2))) % 3)

    def _odd_id(self, nexus: int) -> bytes:
        """A TransportID that names nobody who could be registered.

        None is cut short or has a wrong length: Linux 6.1.176 reads up to the first NUL, however
        far that is (iscsi_parse_pr_out_transport_id; later ones compare lengths).
        """
        port = self.side.nexuses[(nexus + 1) % 3]
        good = transport_id(port.initiator, port.isid)
        return self.random.choice(
            (
                *(b"\xc5" + good[1:], b"\x46" + good[1:]),  # FORMAT CODE 11b, protocol SAS
                good.replace(b",i,0x", b",t,0x"),
                transport_id(port.initiator + "-not", port.isid),
                transport_id("n", "1"),
            )
        )

    def register_ports(self, nexus: int) -> Command:
        """REGISTER with SPEC_I_PT: good ones mostly."""
        chance = self.random.random()
        ids = self._other(nexus)
        if chance < 0.2:
            ids = b"".join(self._id_of(other) for other in range(3) if other != nexus)
        elif chance < 0.4:
            ids = self.random.choice((b"", ids)) + self._odd_id(nexus)
        new = self.random.choice((*POOL, 0))
        command = with_ports(nexus, self._own(nexus), new, self._flags(), ids)
        if self.random.random() < 0.1:  # another length of the TransportIDs than there is
            listed = bytearray(command.out)
            listed[27] = (listed[27] + self.random.choice((1, 4, 255))) & 0xFF
            command = command._replace(out=bytes(listed))
        return command

    def move(self, nexus: int) -> Command:
        """REGISTER AND MOVE: good ones mostly."""
        nexus = self._holder_or(nexus)
        chance = self.random.random()
        name = self._other(nexus)
        if chance < 0.1:
            name = self._odd_id(nexus)
        elif chance < 0.2:
            name = self._id_of(nexus)
        port = 1 if self.random.random() < 0.95 else self.random.choice((0, 2, 0xFFFF))
        flags = self.random.choice((0, 0, APTPL, 2, 3))
        new = self.random.choice((*POOL, 0))
        return move(nexus, self._own(nexus), new, flags, port, name)

    def odd_out(self, nexus: int) -> Command:
        """Something that no service action should let pass."""
        action = self.random.choice((*range(9), REPLACE, 0x0F, 0x1F))
        which = self.random.randrange(5)
        if which == 0:  # an unknown service action, or a known one with reserved bits
            top = self.random.choice((0, 0, 0x20, 0x80))
            command = pr_out(nexus, action, self._own(nexus), self._victim(nexus), self._kind())
            cdb = bytes((command.cdb[0], action | top)) + command.cdb[2:]
            return command._replace(cdb=cdb)
        if which == 1:  # a list that is too short or too long
            length = self.random.choice((0, 1, 8, 16, 23, 25, 28, 32, 64))
            listed = struct.pack(">QQ", self._own(nexus), self._victim(nexus)).ljust(64, b"\0")
            return Command(nexus, pr_out_cdb(action, self._kind(), length), listed[:length])
        command = pr_out(nexus, action, self._own(nexus), self._victim(nexus), self._kind())
        if which == 2:  # NACA, or a vendor specific bit of CONTROL
            return command._replace(cdb=command.cdb[:-1] + self.random.choice((b"\x04", b"\x80")))
        if which == 3:  # reserved and obsolete bytes of the list
            listed = bytearray(command.out)
            listed[self.random.choice((16, 17, 18, 19, 21, 22, 23))] = self.random.choice((1, 0x80))
            return command._replace(out=bytes(listed))
        listed = bytearray(command.out)  # bits that this service action does not have
        listed[20] = self.random.choice((APTPL, ALL_TG_PT, 0x08, 0x02))
        return command._replace(out=bytes(listed))

    # -- what reads -------------------------------------------------------------------------------

    def look(self, nexus: int) -> Command:
        action = self.random.choice((0, 1, 2, FULL_STATUS, FULL_STATUS))
        if self.random.random() < 0.02:
            action = self.random.choice((4, 5, 0x1F))
        if self.random.random() < 0.35:
            return pr_in(nexus, action, self.random.choice(SHORT_LENGTHS))
        return pr_in(nexus, action, self.random.choice((255, 512, 4096)))

    def ready(self, nexus: int) -> Command:
        return unit_ready(nexus)

    def sense(self, nexus: int) -> Command:
        length = self.random.choice((252, 252, 255, 96, 18, 14, 8, 4, 1, 0))
        return request_sense(nexus, length, flags=self.random.choice((0, 0, 0, 0, 1)))

    def capacity(self, nexus: int) -> Command:
        if self.random.random() < 0.5:
            lba = self.random.choice((0, 0, 0, 7))
            cdb = bytes((READ_CAPACITY_10, 0)) + lba.to_bytes(4, "big") + bytes(4)
            return Command(nexus, cdb, length=8)
        action = self.random.choice((0x10, 0x10, 0x10, 0x1F))
        length = self.random.choice((32, 32, 16, 12, 8))
        cdb = bytes((0x9E, action)) + bytes(8) + length.to_bytes(4, "big") + bytes(2)
        return Command(nexus, cdb, length=length)

    # -- blocks -----------------------------------------------------------------------------------

    def _lba(self) -> int:
        if self.random.random() < 0.92:
            return self.random.randrange(USED_BLOCKS)
        return self.random.choice((BLOCKS - 1, BLOCKS, BLOCKS, BLOCKS + 1, 0xFFFFFFFF))

    def read(self, nexus: int) -> Command:
        opcode = self.random.choice(list(READS))
        return block(nexus, opcode, self._lba(), self.random.choice((1, 1, 2, 0)))

    def write(self, nexus: int) -> Command:
        opcode, lba = self.random.choice(list(WRITES)), self._lba()
        count = 0 if self.random.random() < 0.05 else 1
        if lba < USED_BLOCKS - 1:
            count = self.random.choice((1, 1, 1, 2, 0))
        return block(nexus, opcode, lba, count, self.random.randrange(1, 256))

    def other_block(self, nexus: int) -> Command:
        opcode = self.random.choice((*WITHOUT_DATA, *WRITE_SAMES))
        lba = min(self._lba(), BLOCKS + 1)
        count = self.random.choice((1, 1, 0)) if lba >= USED_BLOCKS - 1 else 2
        return block(nexus, opcode, lba, count, self.random.randrange(1, 256))

    # -- the rest ---------------------------------------------------------------------------------

    def reset(self, nexus: int) -> Command:
        return unit_reset(nexus)

    def nonsense(self, nexus: int) -> Command:
        which = self.random.randrange(4)
        if which == 0:  # an operation code that no side knows
            return Command(nexus, bytes((self.random.choice((0xC1, 0xDF, 0xFF)),)) + bytes(5))
        if which == 1:  # a list that is shorter than the CDB says
            command = pr_out(nexus, IGNORE, 0, POOL[0])
            return command._replace(out=command.out[: self.random.choice((8, 16, 23))])
        if which == 2:  # more or fewer blocks than the CDB says
            command = block(nexus, self.random.choice(list(WRITES)), 0, 1, 7)
            return command._replace(out=self.random.choice((b"", command.out * 2, b"x" * 100)))
        return block(nexus, self.random.choice((0x28, 0x2A, 0x8A)), 0, 1, 1, flags=0x20)


WEIGHTS = (
    (Generator.register, 18),
    (Generator.reserve, 11),
    (Generator.release, 5),
    (Generator.clear, 2),
    (Generator.preempt, 12),
    (Generator.register_ports, 2),
    (Generator.move, 4),
    (Generator.odd_out, 6),
    (Generator.look, 19),
    (Generator.ready, 4),
    (Generator.sense, 3),
    (Generator.capacity, 2),
    (Generator.read, 7),
    (Generator.write, 9),
    (Generator.other_block, 4),
    (Generator.reset, 0.3),
    (Generator.nonsense, 1.5),
)
