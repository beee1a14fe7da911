"""Twenty agents of one node at once: on, off and monitor, some of them killed."""

from __future__ import annotations

import pytest

from .crowd import Crowd
from .scene import Scene

SEED = 1


@pytest.mark.parametrize("situation", ["joined", "fresh"])
@pytest.mark.parametrize("killed", [0, 6], ids=["all live", "six are killed"])
def test_twenty_at_once(scene: Scene, situation: str, killed: int) -> None:
    """Each success is true, the memory is right in the end, and nobody waits for ever."""
    crowd = Crowd(scene, SEED)
    assert crowd.round(situation, killed) == []
    assert sum(crowd.ends.values()) == 20
