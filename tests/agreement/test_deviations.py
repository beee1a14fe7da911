"""Every difference between a profile and `spec` is in the table, and every row of it occurs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import pytest

from fence_prbarrier.simulator import profiles, unit
from fence_prbarrier.simulator.profiles import PROFILES, Spec
from fence_prbarrier.simulator.values import Nexus

from . import test_agreement
from .commands import ABORT, APTPL, IGNORE, KEYS, Answer, Command, pr_in, pr_out, unit_ready, words
from .deviation import Deviation
from .deviations import IDENTITY, TABLES, left_out, table
from .generate import Generator
from .sides import PORT, Simulated

PAGE = Path(__file__).resolve().parents[2] / "docs/targets.md"
NEXUSES = [Nexus(f"iqn.2020-01.org.example:n{n}", f"00023d00000{n}", PORT) for n in (1, 2, 3)]
SEED = 7
SEQUENCES = 200
# What takes commands in flight or a loss of power to be seen, and has tests of its own.
NOT_BY_COMMANDS = {"abort", "power_on_attention", "restoring_counts"}
BY_COMMANDS = [row for row in TABLES["lio"] if row.attributes[0] not in NOT_BY_COMMANDS]
MOST_REASONS = 3  # for one answer
WERO, WRITE_10 = 5, 0x2A


def _settings(kind: type[Spec]) -> dict[str, object]:
    return {name: getattr(kind, name) for name in vars(Spec) if not name.startswith("_")}


def _differing(profile: str) -> set[str]:
    other, spec = _settings(PROFILES[profile]), _settings(Spec)
    return {name for name in spec if other[name] != spec[name]} - IDENTITY


@pytest.fixture(autouse=True)
def hybrids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `_hybrid` add profiles for the time of a test."""
    monkeypatch.setattr("fence_prbarrier.simulator.unit.PROFILES", dict(PROFILES))


def _hybrid(profile: str, rows: Iterable[Deviation]) -> str:
    """The name of `spec` with some of a profile's deviations."""
    names = sorted(name for row in rows for name in row.attributes)
    hybrid = "+".join(["spec", profile, *names])
    settings = {name: getattr(PROFILES[profile], name) for name in names}
    unit.PROFILES.setdefault(hybrid, type("Hybrid", (Spec,), settings))
    return hybrid


@lru_cache
def _sequences(profile: str) -> list[list[Command]]:
    generator = Generator(SEED)
    return [generator.sequence(Simulated(NEXUSES, profile)) for _ in range(SEQUENCES)]


def _replies(profile: str, sequence: list[Command]) -> list[Answer]:
    side = Simulated(NEXUSES, profile)
    return [side.send(command) for command in sequence]


def _first_difference(one: list[Answer], other: list[Answer]) -> int | None:
    return next((at for at, pair in enumerate(zip(one, other)) if pair[0] != pair[1]), None)


def _aborted(profile: str) -> bool:
    """Whether a victim's write in flight is aborted where a survivor holds."""
    lu = Simulated(NEXUSES, profile).unit
    survivor, victim = NEXUSES[0], NEXUSES[1]
    for nexus, command in (
        (survivor, pr_out(0, 6, 0, 1)),
        (victim, pr_out(1, 6, 0, 2)),
        (survivor, pr_out(0, 1, 1, kind=WERO)),
    ):
        assert lu.command(nexus, command.cdb, command.out).status == 0
    tag = lu.submit(victim, bytes((WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0)), bytes(512))
    last = pr_out(0, ABORT, 1, 2, WERO)
    assert lu.command(survivor, last.cdb, last.out).status == 0
    return lu.complete(tag) is None


@pytest.mark.parametrize("profile", TABLES)
def test_the_table_names_every_attribute_that_differs(profile: str) -> None:
    rows = [name for row in TABLES[profile] for name in row.attributes]
    assert len(rows) == len(set(rows))
    assert set(rows) == _differing(profile)


def test_every_profile_but_spec_has_a_table() -> None:
    kinds = [each for each in vars(profiles).values() if isinstance(each, type)]
    named = {each.name for each in kinds if issubclass(each, Spec)}
    assert named == {"spec", *TABLES}


def _reasons(profile: str, sequence: list[Command], at: int) -> list[Deviation]:
    """A smallest set of rows with which `spec` first differs there, and answers as the profile."""
    needed = list(TABLES[profile])
    before, there = _replies("spec", sequence[: at + 1]), _replies(profile, sequence[: at + 1])
    for row in TABLES[profile]:
        fewer = [each for each in needed if each is not row]
        replies = _replies(_hybrid(profile, fewer), sequence[: at + 1])
        if replies == there and replies != before:
            needed = fewer
    return needed


@pytest.mark.parametrize("profile", TABLES)
def test_every_difference_is_a_listed_one_and_every_listed_one_occurs(profile: str) -> None:
    """A difference is there with a row or a few of the table alone, and each row makes some."""
    occurs: Counter[str] = Counter()
    for sequence in _sequences(profile):
        spec = _replies("spec", sequence)
        at = _first_difference(spec, _replies(profile, sequence))
        if at is not None:
            reasons = _reasons(profile, sequence, at)
            told = f"{words(sequence[at])}: {[row.attributes for row in reasons]}"
            assert 0 < len(reasons) <= MOST_REASONS, told
        for row in TABLES[profile]:
            occurs[row.attributes[0]] += _replies(_hybrid(profile, [row]), sequence) != spec
    never = {row.attributes[0] for row in TABLES[profile]} - NOT_BY_COMMANDS - set(+occurs)
    assert not never, f"never seen in {SEQUENCES} sequences: {never}"


@pytest.mark.parametrize("row", BY_COMMANDS, ids=lambda row: row.attributes[0])
def test_the_sequences_would_find_it_out(row: Deviation) -> None:
    """Were this not in profile `lio`, the sequences that are sent to LIO would show it."""
    without = _hybrid("lio", [each for each in TABLES["lio"] if each is not row])
    generator = Generator(test_agreement.SEED)
    for _ in range(test_agreement.SEQUENCES):
        side = Simulated(NEXUSES)
        sequence = generator.sequence(side)
        if _replies(without, sequence) != _replies("lio", sequence):
            return
    pytest.fail(f"{test_agreement.SEQUENCES} sequences do not tell {row.attributes}")


@pytest.mark.parametrize("profile", ["lio", "liar"])
def test_whose_commands_are_aborted(profile: str) -> None:
    """The one deviation that takes commands in flight to be seen."""
    row = next(row for row in TABLES[profile] if row.attributes == ("abort",))
    assert _aborted("spec")
    assert not _aborted(_hybrid(profile, [row]))


def _restored(profile: str, rows: list[Deviation]) -> list[Answer]:
    """What is heard after a loss of power with one registration and APTPL."""
    side = Simulated(NEXUSES, _hybrid(profile, rows))
    assert side.send(pr_out(0, IGNORE, 0, 1, flags=APTPL)).status == 0
    side.unit.power_cycle()
    return [side.send(command) for command in (unit_ready(0), pr_in(0, KEYS))]


def test_what_a_loss_of_power_shows() -> None:
    """The deviations that take one to be seen, each alone."""
    rows = {row.attributes[0]: row for row in TABLES["lio"]}
    attention, restoring = rows["power_on_attention"], rows["restoring_counts"]
    spec, without = _restored("lio", []), _restored("lio", [attention])
    assert (spec[0].triple, without[0].triple) == ("6/29/01", "")
    counted = _restored("lio", [restoring])
    assert (spec[1].data[:4], counted[1].data[:4]) == (bytes(4), bytes((0, 0, 0, 1)))


@pytest.mark.parametrize("profile", TABLES)
def test_the_page_bears_the_table(profile: str) -> None:
    assert table(profile) in PAGE.read_text(), f"docs/targets.md, {profile}:\n{table(profile)}"


def test_the_page_says_what_is_left_out() -> None:
    assert left_out() in PAGE.read_text(), f"docs/targets.md:\n{left_out()}"
