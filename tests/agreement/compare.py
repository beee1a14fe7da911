"""The first answer that differs, the shortest sequence that shows it, and what was covered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .commands import Answer, Command, words
from .generate import Generator
from .sides import Lio, Simulated

BATCH = 50  # sequences that go to the guest at once
SHRINK_ROUNDS = 40


class Difference(NamedTuple):
    """A sequence whose last command is answered in two ways."""

    sequence: tuple[Command, ...]
    generation: int
    theirs: Answer
    ours: Answer

    @property
    def kind(self) -> tuple[str, str, str]:
        """What shrinking has to keep."""
        return words(self.sequence[-1]).split(",")[0], self.theirs.words(), self.ours.words()


class Coverage:
    """What was executed, so that a stranger sees what agreement means here."""

    def __init__(self) -> None:
        self.sequences = 0
        self.commands = 0
        self.outcomes: Counter[tuple[str, str]] = Counter()

    def count(self, command: Command, answer: Answer) -> None:
        self.commands += 1
        name = words(command).split(",")[0].split(" of ")[0]
        self.outcomes[(name, answer.words())] += 1


def difference(
    generation: int, sequence: Sequence[Command], told: Sequence[Answer], lio: Lio
) -> Difference | None:
    """The first difference between what LIO has told and what the simulator tells."""
    side = Simulated(lio.nexuses, generation=generation)
    for index, (command, theirs) in enumerate(zip(sequence, told)):
        ours = side.send(command)
        if ours != theirs:
            return Difference(tuple(sequence[: index + 1]), generation, theirs, ours)
    return None


def hunt(lio: Lio, seed: int, sequences: int, coverage: Coverage) -> Iterator[Difference]:
    """Run sequences on both sides; yield what differs."""
    generator = Generator(seed)
    left = sequences
    while left:
        batch = [generator.sequence(Simulated(lio.nexuses)) for _ in range(min(BATCH, left))]
        left -= len(batch)
        for sequence, (generation, told) in zip(batch, lio.run(batch)):
            coverage.sequences += 1
            found = difference(generation, sequence, told, lio)
            same = sequence if found is None else found.sequence[:-1]
            for command, answer in zip(same, told):
                coverage.count(command, answer)
            if found is not None:
                yield found


def shrink(lio: Lio, found: Difference) -> Difference:
    """Leave out commands while the last one still differs in the same way."""
    for _ in range(SHRINK_ROUNDS):
        sequence = found.sequence
        parts = [
            (start, size)
            for size in (8, 4, 2, 1)
            for start in range(0, len(sequence) - 1, size)
            if size < len(sequence)
        ]
        tries = [
            sequence[:start] + sequence[min(start + size, len(sequence) - 1) :]
            for start, size in parts
        ]
        for candidate, (generation, told) in zip(tries, lio.run(tries)):
            smaller = difference(generation, candidate, told, lio)
            if smaller is not None and smaller.kind == found.kind:
                found = smaller
                break
        else:
            return found
    return found


def transcript(found: Difference, lio: Lio) -> str:
    """The sequence for people: words beside the bytes, and both answers to the last command."""
    side = Simulated(lio.nexuses, generation=found.generation)
    lines = []
    for command in found.sequence:
        ours = side.send(command)
        lines.append(f"n{command.nexus + 1}  {words(command)}")
        sent = command.cdb.hex(" ") or "(task management)"
        data = command.out if len(command.out) < 128 else command.out[:16] + b"..."
        lines.append(f"      {sent}" + (f" <<< {data.hex()}" if data else ""))
        if command is not found.sequence[-1]:
            lines.append(f"      {ours.words()} {ours.data[:64].hex()}".rstrip())
    for name, answer in (("LIO", found.theirs), ("simulator", found.ours)):
        lines.append(f"   {name + ':':11}{answer.words()}")
        for what, value in (("sense", answer.sense), ("data", answer.data)):
            if value:
                lines.append(f"              {what} {value[:256].hex(' ')} ({len(value)} bytes)")
    return "\n".join(lines)
