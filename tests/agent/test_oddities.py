"""Names that hold what no name should, and two names of one thing."""

from __future__ import annotations

import os

from .stage import Stage, assert_refused


def test_control_characters_stay_in_one_line(joined: Stage) -> None:
    """And no escape sequence reaches a terminal."""
    for name, why in (("/dev/a\033]x", "is not there"), ("/dev/a\033[31mx", "matches no disk")):
        result = joined.do("n1", "monitor", "n1", devices=name)
        assert_refused(result, why, name.replace("\033", "\\x1b"))
        assert "\033" not in result.err


def test_a_link_to_a_simulated_lu_is_the_same_path(joined: Stage) -> None:
    link = f"{joined.units[0]}-link"
    os.symlink(joined.units[0], link)
    both = f"mock:{joined.units[0]},mock:{link}"
    assert joined.do("n1", "on", "n1", devices=both) == (0, "Success: Already ON\n", "")
