"""The scenes that LIO is known for, played by the simulator alone: no lab is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import pytest

from fence_prbarrier.simulator.textform import dump, load
from fence_prbarrier.simulator.values import Nexus

from .scenes import SCENES, Scene
from .sides import Simulated
from .test_deviations import NEXUSES


@pytest.mark.parametrize("scene", SCENES, ids=lambda each: each.__name__)
def test_scene(scene: Callable[[Sequence[Nexus]], Scene]) -> None:
    """Each command gets the answer that LIO gave."""
    side = Simulated(NEXUSES)
    for number, (command, expected) in enumerate(scene(NEXUSES), 1):
        assert side.send(command).words() == expected, f"command {number}"


@pytest.mark.parametrize("scene", SCENES, ids=lambda each: each.__name__)
def test_scene_of_a_unit_in_a_file(scene: Callable[[Sequence[Nexus]], Scene]) -> None:
    """The same where the LU is written to its file and read again between any two commands."""
    side = Simulated(NEXUSES)
    for number, (command, expected) in enumerate(scene(NEXUSES), 1):
        assert side.send(command).words() == expected, f"command {number}"
        side.unit = load(dump(side.unit))
