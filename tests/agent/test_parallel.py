"""Many at a time: on one node, and two nodes against each other."""

from __future__ import annotations

from fence_prbarrier.key import Key
from fence_prbarrier.state import Store

from .stage import Result, Stage, finish
from .test_rules import TAG

CALLS = 20


def _together(stage: Stage, *calls: tuple[str, str, str]) -> list[Result]:
    """Start them all, then wait for them all."""
    running = [stage.begin(node, action, plug) for node, action, plug in calls]
    return [finish(process) for process in running]


def _memory_agrees(stage: Stage, node: str, number: int) -> None:
    """One incarnation: on every LU, and in the memory."""
    keys = {key for unit in range(len(stage.units)) for key in stage.keys(node, unit)}
    assert len(keys) == 1
    memory = Store(str(stage.state(node)), TAG, number).load()
    assert memory.key == Key(keys.pop())
    assert len(memory.joined) == len(stage.units)


def test_twenty_first_joins(bare: Stage) -> None:
    """One joins; who comes in between is told so; who comes after finds it done."""
    results = _together(bare, *[("n1", "on", "n1")] * CALLS)
    assert [result.out for result in results].count("Success: Powered ON\n") == 1
    for result in results:
        if result.code == 0:
            assert result.err == "" and result.out.startswith("Success: ")
        else:
            assert (result.code, result.out) == (1, "")
            assert "another action=on" in result.err and result.err.count("\n") == 1
    _memory_agrees(bare, "n1", 1)
    assert bare.do("n1", "on", "n1") == (0, "Success: Already ON\n", "")


def test_twenty_evictions_by_one_node(joined: Stage) -> None:
    """Conflicts with oneself mean "look again": all end, and none claims what is not so."""
    results = _together(joined, *[("n1", "off", "n2")] * CALLS)
    assert joined.keys("n2") == joined.keys("n2", 1) == []
    assert "Success: Powered OFF\n" in [result.out for result in results]
    for result in results:
        assert result.out in ("Success: Powered OFF\n", "Success: Already OFF\n"), result
        assert (result.code, result.err) == (0, "")
    _memory_agrees(joined, "n1", 1)


def test_twenty_monitors(joined: Stage) -> None:
    before = joined.pictures()
    assert set(_together(joined, *[("n1", "monitor", "")] * CALLS)) == {(0, "", "")}
    assert joined.pictures() == before


def test_all_three_actions_at_once(joined: Stage) -> None:
    calls = [("n1", "on", "n1"), ("n1", "off", "n2"), ("n1", "monitor", "")] * 7
    for (_, action, _), result in zip(calls, _together(joined, *calls)):
        if action == "on" and result.code == 1:
            assert "another action=on" in result.err
        else:
            assert (result.code, result.err) == (0, ""), (action, result)
    assert joined.keys("n2") == joined.keys("n2", 1) == []
    _memory_agrees(joined, "n1", 1)


def test_a_duel_has_one_winner(bare: Stage) -> None:
    """Rule 5, six times: who says Success is on both LUs, and the other is on neither."""
    bare.join_all()
    for _ in range(6):
        first, second = _together(bare, ("n1", "off", "n2"), ("n2", "off", "n1"))
        assert sorted((first.code, second.code)) == [0, 1], (first, second)
        winner, loser = ("n1", "n2") if first.code == 0 else ("n2", "n1")
        for unit in (0, 1):
            assert bare.keys(winner, unit) and not bare.keys(loser, unit)
        allowed = bare.do(loser, "on", loser, rejoin="allow")
        assert (allowed.code, allowed.err) == (0, "")
