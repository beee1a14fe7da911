"""The agent as a process with random stdin and random LUs; processes.py says what must hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from fence_prbarrier.agent.cli import MAX_LINE_BYTES, MAX_STDIN_BYTES
from tests.agent.stage import Result, assert_refused, run_raw

from .checks import Violation
from .processes import check, play, stage_in

ROUNDS = 30
SEED = 20261125
DIGITS = "9" * 5000


def test_random_calls_end_well(tmp_path: Path) -> None:
    assert play(stage_in(tmp_path), ROUNDS, SEED) > ROUNDS // 5


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"plug={DIGITS}", ("is not known", "expected one of n1 (1)")),
        (f"drain=wait:{DIGITS}", ("expected auto, target, reset, or wait:SECONDS",)),
        ("cluster_tag=0x0x5a17", ("up to four hexadecimal digits",)),
        ("devices=mock:/tmp/none?port=²", ("relative target port",)),
        ("nodes=" + "a" * 60000, ("is not NAME:NUMBER",)),
        ("x" * (MAX_LINE_BYTES + 1), ("longer than",)),
        ("#" * 60000 + "\n" + ("#" * 60000 + "\n") * (MAX_STDIN_BYTES // 60000), ("more than",)),
        ("a\0b", ("expected key=value",)),
    ],
    ids=range(8),
)
def test_what_once_ended_in_an_error_of_pythons_own(
    tmp_path: Path, line: str, words: tuple[str, ...]
) -> None:
    head = (
        f"action=status\nplug=n1\nnodes=n1:1\ncluster_name=c\nstate_dir={tmp_path}\n"
        f"devices=mock:{tmp_path}/lu?profile=spec\nlocal_name=n1\n"
    )
    result = run_raw(f"{head}{line}\n".encode(), tmp_path)
    assert_refused(result, *words)
    assert len(result.err) < 1000


def test_the_check_can_fail(tmp_path: Path) -> None:
    """The last: n2 has joined, so nobody may say that it is off."""
    stage = stage_in(tmp_path)
    check(stage, "off", 2, Result(1, "", "why not\n"))
    for result in (
        Result(3, "", "x\n"),
        Result(1, "", ""),
        Result(1, "", "Traceback\n"),
        Result(1, "", "internal error: ValueError\n"),
        Result(1, "", "a\n\nb\n"),
        Result(1, "", "x" * 5000 + "\n"),
        Result(2, "Status: ON\n", ""),
        Result(0, "Status: OFF\n", ""),
        Result(0, "Success: Powered OFF\n", ""),
    ):
        with pytest.raises(Violation):
            check(stage, "off", 2, result)
