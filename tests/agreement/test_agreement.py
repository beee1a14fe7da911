"""LIO and the simulator with profile `lio` answer the same, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import pytest

from fence_prbarrier.simulator.values import Nexus

from .abstractions import ABSTRACTIONS, Abstraction
from .commands import Command, pr_in, unit_ready
from .compare import Coverage, difference, hunt, shrink, transcript
from .scenes import SCENES, Scene
from .sides import PROLOGUE, Lio, Simulated

SEED = 20261125
SEQUENCES = 1000
# Less than what has been seen: else the sequences have lost something to say.
MIN_COMMANDS = 28 * 1000
MIN_OUTCOMES = 190


def test_random_sequences(lio: Lio) -> None:
    """The same bytes to both: status, sense and data agree over all sequences."""
    coverage = Coverage()
    for found in hunt(lio, SEED, SEQUENCES, coverage):
        told = transcript(shrink(lio, found), lio)
        pytest.fail(f"seed {SEED}, sequence {coverage.sequences}:\n{told}", pytrace=False)
    assert coverage.sequences == SEQUENCES
    assert coverage.commands > MIN_COMMANDS
    assert len(coverage.outcomes) > MIN_OUTCOMES, coverage.outcomes


@pytest.mark.parametrize("scene", SCENES, ids=lambda each: each.__name__)
def test_scene(lio: Lio, scene: Callable[[Sequence[Nexus]], Scene]) -> None:
    """What LIO is known for, as it is told, by LIO itself and by the simulator."""
    told = scene(lio.nexuses)
    script = [command for command, _ in told]
    generation, answers = lio.run([script])[0]
    assert [answer.words() for answer in answers] == [expected for _, expected in told]
    found = difference(generation, script, answers, lio)
    assert found is None, transcript(found, lio)


@pytest.mark.parametrize("left_out", ABSTRACTIONS, ids=lambda each: each.what.split(",")[0])
def test_what_is_left_out_differs(lio: Lio, left_out: Abstraction) -> None:
    """A difference that is listed is there; where it is gone the list has to say so."""
    script = left_out.script(lio.nexuses)
    generation, told = lio.run([script])[0]
    found = difference(generation, script, told, lio)
    assert found is not None, "both answer the same: strike it off the list"
    assert found.sequence == tuple(script), transcript(found, lio)


def test_the_prologue_leaves_nothing(lio: Lio) -> None:
    """What a sequence leaves behind, a reset above all, does not reach the next one."""
    dirty = [command._replace(nexus=2) for command in PROLOGUE[6:7]]
    dirty += [Command(1, b""), pr_in(1, 0, 8)]
    for _ in range(2):
        lio.run([dirty])
        generation, told = lio.run([[unit_ready(nexus) for nexus in range(3)]])[0]
        assert [answer.status for answer in told] == [0, 0, 0]
    assert generation > 0


def test_a_difference_is_found_and_shrunk(lio: Lio, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a profile that is wrong in one thing the sequences find it, and show it in short."""
    monkeypatch.setattr(Simulated(lio.nexuses).unit.profile, "unregistering_counts", True)
    found = next(iter(hunt(lio, SEED, SEQUENCES, Coverage())))
    small = shrink(lio, found)
    assert len(small.sequence) <= 3 < len(found.sequence)
    text = transcript(small, lio)
    assert "REGISTER" in text and "simulator: GOOD" in text and "LIO:       GOOD" in text
