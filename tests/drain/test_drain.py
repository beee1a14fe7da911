"""Rule 9 on a real target and real hosts: nothing of the victim arrives after a successful `off`.

Its writes are held up below the target for 3 s when the fence strikes.
"""

from __future__ import annotations

import pytest

from .ground import LARGE, SMALL, SURVIVOR, VICTIM, Case, Ground, strike

# What the project promises for Linux LIO; without its own sequence there it was 44 s, the end of
# the frozen host's session.
BOUND_S = 20
CASES = [
    Case("frozen", VICTIM, SMALL),
    Case("frozen", SURVIVOR, LARGE),
    Case("alive", VICTIM, SMALL),
    Case("dead", VICTIM, LARGE),  # the last: it costs a boot
]


def test_the_hole_is_seen(ground: Ground) -> None:
    """drain=target, a survivor holds: LIO aborts nothing, and the frozen host's writes land later.

    So the tests below can see what they look for.
    """
    case = Case("frozen", SURVIVOR, SMALL)
    said, came = strike(ground, case, lambda: ground.fence(drain="target", verbose="1"))
    assert said.code == 0, said
    assert "LOGICAL UNIT RESET" not in said.output
    assert came.held > 0 and came.late > 0 and came.through, (came, said)
    assert came.then == f"{SMALL.number} EBADE", came


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_arrives_after_success(ground: Ground, case: Case) -> None:
    """Neither what was in flight, nor what the victim sends when it goes on."""
    said, came = strike(ground, case, lambda: ground.fence(verbose="1"))
    assert said.code == 0 and "Success: Powered OFF" in said.output, said
    assert "drained by: LU reset after the keys were gone" in said.output
    assert (came.held, came.late, came.through) == (0, 0, False), (came, said)
    assert came.seconds < BOUND_S, (came, said)
    assert came.then in ("", f"{SMALL.number} EBADE"), came
