"""A sample of all steps, the same each time; ``python -m tests.hostile`` takes every one."""

from __future__ import annotations

import pytest

from . import campaign
from .scene import Scene

SEED = 1
CASES = {"signals": 92, "interludes": 27, "errors": 69}


@pytest.mark.parametrize("kind", campaign.KINDS, ids=lambda kind: kind.name)
def test_a_sample_of_steps(scene: Scene, trapped: None, kind: campaign.Kind) -> None:
    """Nothing false is said, nothing is forgotten, and the next run does the work."""
    tally = campaign.run(kind, scene, SEED, cases=CASES[kind.name], hear=print)
    assert tally.findings == []
    assert tally.struck > CASES[kind.name] * 0.9
