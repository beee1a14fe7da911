"""Each rule's code is broken on purpose, and tests that are named beforehand notice it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from .book import ROOT, Mutant, mutants, rules
from .trial import Verdict, copy_tree, run, try_out

RULES = 10


def name(mutant: Mutant) -> str:
    return f"{mutant.rule}-{mutant.what.replace(' ', '-')}"


def test_every_rule_has_mutants() -> None:
    found = rules()
    assert sorted(found) == list(range(1, RULES + 1))
    for number, (words, each) in found.items():
        assert words.startswith(f"Rule {number}: ")
        assert each
    everything = mutants()
    assert len({mutant.what for mutant in everything}) == len(everything)


@pytest.mark.parametrize("mutant", mutants(), ids=name)
def test_says_what_catches_it(mutant: Mutant) -> None:
    assert mutant.by
    for each in mutant.by:
        assert (ROOT / each.split("::")[0]).exists(), each


def test_the_tests_that_catch_them_pass_unbroken(tmp_path: Path) -> None:
    """In a copy made in the same way: so it is the mutant that makes them fail."""
    copy_tree(tmp_path)
    code, output = run(
        tmp_path, sorted({each for mutant in mutants() for each in mutant.by}), False
    )
    assert code == 0, output


@pytest.fixture(scope="module")
def trials() -> Iterator[dict[Mutant, Future[Verdict]]]:
    """All trials, begun at once, as many at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {mutant: pool.submit(try_out, mutant, mutant.by, True) for mutant in mutants()}


@pytest.mark.parametrize("mutant", mutants(), ids=name)
def test_is_caught(mutant: Mutant, trials: dict[Mutant, Future[Verdict]]) -> None:
    verdict = trials[mutant].result()
    assert not verdict.trouble, verdict.trouble
    assert verdict.failed, "nobody noticed"
