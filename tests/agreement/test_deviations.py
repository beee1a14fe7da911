"""Every difference between a profile and `spec` is in the table, and every row of it occurs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from fence_prbarrier.simulator import profiles
from fence_prbarrier.simulator.profiles import PROFILES, Spec
from fence_prbarrier.simulator.values import Nexus

from .commands import ABORT, Answer, Command, pr_out, words
from .deviations import IDENTITY, TABLES, Deviation, left_out, table
from .generate import Generator
from .sides import PORT, Simulated

PAGE = Path(__file__).resolve().parents[2] / "docs/targets.md"
NEXUSES = [Nexus(f"iqn.2020-01.org.example:n{n}", f"00023d00000{n}", PORT) for n in (1, 2, 3)]
SEED = 7
SEQUENCES = 300
WERO, WRITE_10 = 5, 0x2A


def _settings(kind: type[Spec]) -> dict[str, object]:
    return {name: getattr(kind, name) for name in vars(Spec) if not name.startswith("_")}


def _differing(profile: str) -> set[str]:
    other, spec = _settings(PROFILES[profile]), _settings(Spec)
    return {name for name in spec if other[name] != spec[name]} - IDENTITY


@pytest.fixture(autouse=True)
def hybrids(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Beside each profile: `spec` with one deviation of it, and it without that one."""
    for profile, rows in TABLES.items():
        base = PROFILES[profile]
        for row in rows:
            kept = {name: getattr(base, name) for name in row.attributes}
            gone = {name: getattr(Spec, name) for name in row.attributes}
            for name, parent, change in (("+", Spec, kept), ("-", base, gone)):
                monkeypatch.setitem(
                    PROFILES, _name(profile, name, row), type("Hybrid", (parent,), change)
                )
    yield


def _name(profile: str, sign: str, row: Deviation) -> str:
    return f"{profile}{sign}{row.attributes[0]}"


@lru_cache
def _sequences(profile: str) -> list[list[Command]]:
    generator = Generator(SEED)
    return [generator.sequence(Simulated(NEXUSES, profile)) for _ in range(SEQUENCES)]


def _replies(profile: str, sequence: list[Command]) -> list[Answer]:
    side = Simulated(NEXUSES, profile)
    return [side.send(command) for command in sequence]


def _first_difference(one: list[Answer], other: list[Answer]) -> int | None:
    return next((i for i, pair in enumerate(zip(one, other)) if pair[0] != pair[1]), None)


def _aborted(profile: str) -> bool:
    """Whether a victim's write in flight is aborted where a survivor holds."""
    unit = Simulated(NEXUSES, profile).unit
    survivor, victim = NEXUSES[0], NEXUSES[1]
    for nexus, command in (
        (survivor, pr_out(0, 6, 0, 1)),
        (victim, pr_out(1, 6, 0, 2)),
        (survivor, pr_out(0, 1, 1, kind=WERO)),
    ):
        assert unit.command(nexus, command.cdb, command.out).status == 0
    tag = unit.submit(victim, bytes((WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0)), bytes(512))
    last = pr_out(0, ABORT, 1, 2, WERO)
    assert unit.command(survivor, last.cdb, last.out).status == 0
    return unit.complete(tag) is None


@pytest.mark.parametrize("profile", TABLES)
def test_the_table_names_every_attribute_that_differs(profile: str) -> None:
    rows = [name for row in TABLES[profile] for name in row.attributes]
    assert len(rows) == len(set(rows))
    assert set(rows) == _differing(profile)


def test_every_profile_but_spec_has_a_table() -> None:
    named = {
        kind.name
        for kind in vars(profiles).values()
        if isinstance(kind, type(Spec)) and isinstance(kind, type) and issubclass(kind, Spec)
    }
    assert named == {"spec", *TABLES}


@pytest.mark.parametrize("profile", TABLES)
def test_every_difference_is_a_listed_one_and_every_listed_one_occurs(profile: str) -> None:
    """With `spec` changed in one row alone, or the profile without it, one sees whose it is."""
    occurs: Counter[str] = Counter()
    for sequence in _sequences(profile):
        spec, other = _replies("spec", sequence), _replies(profile, sequence)
        at = _first_difference(spec, other)
        explained = at is None
        for row in TABLES[profile]:
            with_it = _first_difference(spec, _replies(_name(profile, "+", row), sequence))
            occurs[row.attributes[0]] += with_it is not None
            explained = explained or with_it == at
        if not explained:  # no one row does it alone: one without which it is not there
            explained = any(
                _replies(_name(profile, "-", row), sequence)[at or 0] != other[at or 0]
                for row in TABLES[profile]
            )
        assert explained, f"{words(sequence[at or 0])}: {spec[at or 0]} {other[at or 0]}"
    never = {row.attributes[0] for row in TABLES[profile]} - {"abort"} - set(+occurs)
    assert not never, f"never seen in {SEQUENCES} sequences: {never}"


@pytest.mark.parametrize("profile", ["lio", "liar"])
def test_whose_commands_are_aborted(profile: str) -> None:
    """The one deviation that takes commands in flight to be seen."""
    row = next(row for row in TABLES[profile] if row.attributes == ("abort",))
    assert _aborted("spec")
    assert not _aborted(_name(profile, "+", row))


@pytest.mark.parametrize("profile", TABLES)
def test_the_page_bears_the_table(profile: str) -> None:
    assert table(profile) in PAGE.read_text(), f"docs/targets.md, {profile}:\n{table(profile)}"


def test_the_page_says_what_is_left_out() -> None:
    assert left_out() in PAGE.read_text(), f"docs/targets.md:\n{left_out()}"
