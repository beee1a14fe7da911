"""What the benchmarks print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Goal(NamedTuple):
    """A measured number and the bound that it is to keep."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """Whether it keeps its bound."""
        low, high = self.at_least, self.at_most
        return (low is None or self.value >= low) and (high is None or self.value <= high)

    @property
    def bound(self) -> str:
        """The bound in words."""
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"


def show(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are numbers."""
    widths = [max(map(len, column)) for column in zip(columns, *rows)]
    for row in (columns, *rows):
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths))
        print("  " + "  ".join([first.strip().ljust(widths[0]), *others]))
    print()


def show_goals(goals: Sequence[Goal]) -> None:
    """Print each goal, its bound, and whether it is met."""
    print("goals:")
    rows = [(g.name, f"{g.value:.2f}", g.bound, "met" if g.met else "MISSED") for g in goals]
    show(("", "measured", "goal", ""), rows)
