"""The table of times that a command prints: both agents fence, and how long that took is told."""

from __future__ import annotations

import pytest

from . import times
from .conftest import Floor

FLOOR = "times"


def test_table(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One node killed, one LU, for each agent: its share lies within the whole."""
    floor.clear()
    monkeypatch.setattr("sys.argv", ["times", "1", "1"])
    assert times.main() == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split()[0] == "agent" and len(rows) == len(times.AGENTS)
    for agent, row in zip(times.AGENTS, rows):
        name, units, whole, requested, fenced, share = row.split()
        assert (name, units) == (agent, "1")
        assert 0 < float(share) <= float(fenced) < float(whole)
        assert 0 < float(requested) < float(whole)
