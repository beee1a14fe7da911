"""Every order of steps within small bounds: nothing breaks a rule, and much was reached."""

from __future__ import annotations

from typing import Any

import pytest

from fence_prbarrier.simulator import textform
from fence_prbarrier.simulator.profiles import ABORT_STAMPED
from fence_prbarrier.simulator.unit import LogicalUnit

from .automata import Automata
from .book import (
    BOUNDED,
    CROWD,
    DUEL,
    FORGETFUL,
    JOINING,
    NEW_PATH,
    NEW_PATH_DUEL,
    REBOOT,
    on_each,
    one_fault,
    title,
)
from .bounds import Bounds
from .canon import canonical
from .explore import explore, walk
from .shipped import shipped
from .units import Units

SEED = 20261125


@pytest.mark.parametrize("bounds", BOUNDED, ids=title)
def test_no_order_of_steps_breaks_a_rule(bounds: Bounds) -> None:
    found = shipped(bounds)
    print(f"\n{title(bounds)}: {found.figure}, {found.seconds:.1f} s")
    assert not found.violations, found.told
    assert found.whole and found.ends


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (DUEL, {"n1 off 2: ok", "n1 off 2: NotMember", "n2 off 1: ok", "n2 off 1: NotMember"}),
        (JOINING, {"n1 off 2: ok", "n1 off 2: Rejoined", "n2 on: ok", "n2 on: NotMember"}),
        (REBOOT, {"n1 off 2: Rejoined", "n2 on: ok", "n2 on: NotMember"}),
        (
            one_fault(DUEL),
            {
                "n1 off 2: CommandFailed",
                "n1 off: killed",
                "n2 off 1: NotMember",
            },
        ),
        (FORGETFUL, {"n1 on: ok", "n2 on: NotMember", "n1 off 2: NotMember"}),
        (on_each(DUEL, "tgt")._replace(duel=False), {"n1 off 2: CommandFailed"}),
        (on_each(DUEL, "liar")._replace(duel=False), {"n1 off 2: BarrierBroken"}),
    ],
    ids=lambda value: title(value) if isinstance(value, Bounds) else "",
)
def test_interesting_ends_are_reached(bounds: Bounds, words: set[str]) -> None:
    """A checker that explores nothing proves nothing."""
    found = shipped(bounds)
    assert words - {"n1 off: killed"} <= set(found.acts)
    if "n1 off: killed" in words:
        assert any("n1 off: killed" in end for end in found.ends)


def test_of_two_duellists_either_wins_and_never_both() -> None:
    for bounds in (DUEL, on_each(DUEL, "spec", 2, 2), on_each(DUEL, "lio", 2)):
        ends = set(shipped(bounds).ends)
        assert ends == {
            ("n1 off 2: ok", "n2 off 1: NotMember"),
            ("n1 off 2: NotMember", "n2 off 1: ok"),
        }


def test_both_duellists_lose_only_where_something_went_wrong() -> None:
    ends = set(shipped(one_fault(DUEL)).ends)
    assert any(not any(word.endswith("ok") for word in end) for end in ends)


def test_a_late_registration_is_seen_to_bring_a_life_back() -> None:
    """The hole that docs/paths.md tells of: an assumption, and the checker sees it."""
    late = one_fault(JOINING, ("delayed", "duplicate", "hung"))
    assert shipped(late).returned["landed"]
    assert not shipped(late._replace(no_late_registration=True)).returned["landed"]


def test_a_path_that_is_being_registered_slips_in() -> None:
    """Only after the LU was read for the last time, and not to stay."""
    found = shipped(NEW_PATH)
    assert found.returned["slipped"] and not found.violations


@pytest.mark.parametrize(
    "bounds",
    [
        DUEL,
        on_each(JOINING, "spec", 1, 1),
        REBOOT,
        on_each(DUEL, "lio", 2),
        one_fault(DUEL, ("lost-reply", "delayed", "killed", "conflict")),
        one_fault(REBOOT, ("lost-reply", "hung")),
        NEW_PATH,
    ],
    ids=title,
)
def test_merging_equal_continuations_hides_nothing(bounds: Bounds) -> None:
    """Without it each course of answers is a node of its own: the same ends, and more states."""
    merged, plain = shipped(bounds), explore(bounds, merge=False)
    assert set(merged.ends) == set(plain.ends)
    assert set(merged.acts) == set(plain.acts)
    assert set(merged.returned) == set(plain.returned)
    assert merged.violations == plain.violations == []
    assert merged.states <= plain.states


def test_walks_repeat_with_their_seed() -> None:
    bounds = on_each(CROWD, "spec", 2, 2)
    one, two = (walk(bounds, SEED, 60, walks=3) for _ in range(2))
    assert not one.violations, one.told
    assert (one.steps, one.states, one.ends) == (two.steps, two.states, two.ends)


@pytest.mark.parametrize(
    ("bounds", "walks"),
    [
        (on_each(CROWD, "spec", 2, 2), 12),
        (on_each(CROWD, "lio", 2, 2), 12),
        (one_fault(NEW_PATH_DUEL)._replace(budget=4), 150),
    ],
    ids=lambda value: title(value) if isinstance(value, Bounds) else "",
)
def test_random_courses_break_no_rule(bounds: Bounds, walks: int) -> None:
    found = walk(bounds, SEED, 600, walks)
    print(f"\n{title(bounds)}: {found.figure}, seed {SEED}")
    assert not found.violations, found.told
    assert found.walks == walks


@pytest.mark.parametrize("bounds", [REBOOT, on_each(DUEL, "lio", 1, 2)], ids=title)
def test_a_frozen_lu_thaws_into_the_same(bounds: Bounds, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the simulator's own text form, which leaves nothing out; tags are numbered anew."""
    plain, compared = Units.freeze, set()

    def freeze(units: Units, unit: LogicalUnit, kind: int) -> int:
        number = plain(units, unit, kind)
        if number not in compared:
            compared.add(number)
            again = units.thaw(number)
            assert _lines(again) == _lines(unit)
            assert plain(units, again, kind) == number
        return number

    monkeypatch.setattr(Units, "freeze", freeze)
    explore(one_fault(bounds))
    assert len(compared) > 50


def _lines(unit: LogicalUnit) -> list[str]:
    """Its text but for the checksum, the tags and what stands in no order.

    The key of the holder at a task's acceptance matters to the `lio` profile alone.
    """
    for task in unit.tasks.values():
        task.holder_key = task.holder_key if unit.profile.abort == ABORT_STAMPED else 0
    unit.attentions = dict(sorted(unit.attentions.items(), key=repr))
    lines = textform.dump(unit).decode("ascii").split("\n")
    kept = [" ".join(line.split(" ")[2:]) if line.startswith("task ") else line for line in lines]
    skipped = ("end ", "next-tag ")
    return sorted(line for line in kept if not line.startswith(skipped))


# --- The form by which continuations are told apart ------------------------------------------


def _loop(items: list[int]) -> Any:
    for _ in items:
        for _ in items:
            yield


def _far(steps: int) -> Any:
    generator = _loop([7, 7, 7])
    for _ in range(steps):
        next(generator)
    return generator


def test_a_form_tells_where_an_unnamed_loop_stands() -> None:
    """No local tells these apart: the position of a loop is on the value stack."""
    forms = [canonical(_far(steps)) for steps in range(1, 9)]
    assert len(set(forms)) == len(forms)
    assert canonical(_far(5)) == canonical(_far(5))


def _outer(inner: Any) -> Any:
    yield from inner


def test_a_form_goes_down_to_what_is_yielded_from() -> None:
    one, two = _outer(_loop([1, 2])), _outer(_loop([1, 2]))
    next(one), next(two)
    assert canonical(one) == canonical(two)
    next(two)
    assert canonical(one) != canonical(two)


def test_a_form_tells_one_object_from_two() -> None:
    one: list[int] = []
    assert canonical([one, one]) != canonical([one, []])


def test_rings_are_found() -> None:
    """Rule 10: a plan that could go on for ever has a ring among its nodes."""
    automata = Automata()
    assert automata.longest() == 0
