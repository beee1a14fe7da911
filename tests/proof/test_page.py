"""docs/SAFETY.md tells what the commands counted, of the tree as it is."""

from __future__ import annotations

import pytest

from ..mutants.book import mutants
from . import __main__ as proof
from .page import (
    BREAKS,
    FIGURES,
    PAGE,
    RULES,
    block_of,
    breaks_page,
    figure_table,
    parts_of,
    rule_table,
    with_block,
)


def test_the_rules_table_is_that_of_the_tree() -> None:
    """`python3 -m tests.proof --tables` writes it."""
    assert block_of(PAGE.read_text(), RULES) == rule_table()
    assert BREAKS.read_text() == breaks_page()


def test_every_part_has_figures() -> None:
    parts = parts_of(block_of(PAGE.read_text(), FIGURES))
    assert list(parts) == list(proof.PARTS)
    for rows in parts.values():
        assert all(rows.values())
        assert any(letter.isdigit() for figure in rows.values() for letter in figure)


def test_the_mutants_that_were_counted_are_those_of_the_tree() -> None:
    """A mutant more or less, and the deep run must be repeated."""
    figures = parts_of(block_of(PAGE.read_text(), FIGURES))["mutants"]
    assert figures["mutants"] == figures["noticed"] == str(len(mutants()))


def test_a_table_is_read_back_as_it_was_written() -> None:
    rows = {"model": [{"what": "a, b", "figure": "1 234"}], "fuzz": [{"what": "c", "figure": "5"}]}
    found = parts_of(figure_table(rows, "When and where."))
    assert found == {"model": {"a, b": "1 234"}, "fuzz": {"c": "5"}}


def test_a_block_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="no single block"):
        with_block("nothing made", FIGURES, "x")
