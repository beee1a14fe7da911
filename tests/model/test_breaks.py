"""The checker sees: the shipped code broken on purpose, and what it says then."""

from __future__ import annotations

import pytest

from .book import (
    AGAIN,
    BARE_LATER,
    CHAIN,
    DUEL,
    FORGETFUL,
    JOINING,
    JOINING_DUEL,
    NEW_PATH,
    NEW_PATH_DUEL,
    REBOOT,
    on_each,
    one_fault,
    title,
)
from .bounds import Bounds, off, on
from .breaks import BREAKS
from .explore import explore
from .scenario import Replay, Scenario, scenarios
from .shipped import shipped

RETRIED = DUEL._replace(
    name="on again and again",
    agents=(DUEL.agents[0], DUEL.agents[1]._replace(acts=(on(), on(), off(1)))),
    duel=False,
)

# A break, the bounds within which it is looked for, the rule that is told to be broken.
SEEN: list[tuple[str, Bounds, str]] = [
    ("read back not looked at", on_each(DUEL, "liar")._replace(duel=False), "rule 1"),
    ("off registers its caller", DUEL, "rule 3"),
    ("new life evicted too", REBOOT, "new life"),
    ("membership not asked", CHAIN, "rule 3"),
    ("each node its own order", on_each(DUEL, "spec", 2)._replace(named=True), "rule 5"),
    ("no arbiter", on_each(DUEL, "spec", 2), "rule 5"),
    ("aptpl forgotten by one node", JOINING, "rule 7"),
    ("a new life each time", RETRIED, "rule 4"),
    ("one incarnation for all lives", REBOOT, "new life"),
    ("preempt without abort", DUEL, "rule 9"),
    ("no reset on lio", on_each(DUEL, "lio"), "rule 9"),
    ("what came and went not counted", NEW_PATH, "rule 9"),
    ("off by any path", NEW_PATH_DUEL, "rule 3"),
    ("off before the join is done", JOINING_DUEL, "rule 3"),
    ("an error is an empty list", one_fault(AGAIN, ("conflict",)), "rule 4"),
    ("anything is taken back", BARE_LATER, "rule 8"),
]


@pytest.mark.parametrize(("name", "bounds", "rule"), SEEN, ids=[each[0] for each in SEEN])
def test_a_break_is_seen(
    name: str, bounds: Bounds, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not shipped(bounds).violations
    BREAKS[name](monkeypatch)
    found = explore(bounds)
    assert rule in {each for each, _ in found.violations}, f"{found.figure}: {found.violations}"
    text = found.told
    assert f"VIOLATES {rule}" in text and title(bounds)
    print("\n" + text)


def test_a_loss_of_power_is_seen_where_nothing_is_kept() -> None:
    """Not a break: what `off` guaranteed is gone, and the checker knows."""
    found = shipped(FORGETFUL)
    assert not found.violations
    assert any("n1 off 2: ok" in end and "n2 on: ok" in end for end in found.ends)


@pytest.mark.parametrize("path", scenarios(), ids=lambda path: path.stem)
def test_a_course_that_was_kept(path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario(path)  # type: ignore[arg-type]
    if scenario.broken:
        BREAKS[scenario.broken](monkeypatch)
    replay = Replay(scenario)
    told = "\n".join(replay.lines)
    rules = {rule for rule, _ in replay.violations}
    assert rules == ({scenario.violates} - {"nothing"}), told
    for end in scenario.ends:
        assert end in replay.ends, f"{replay.ends}\n{told}"
    assert replay.back == ({scenario.back} - {""}), told
