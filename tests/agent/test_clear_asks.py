"""The question that clear asks at a terminal, and every answer to it."""

from __future__ import annotations

import signal
import sys

import pexpect
import pytest

from .stage import PROCESS_LIMIT_SECONDS, Stage, environment

QUESTION = "Type yes to remove this: "
NOTHING = "nothing removed: the answer was not yes"


def ask(stage: Stage, *words: str) -> pexpect.spawn:
    """The agent at a terminal, at its question."""
    options = stage.options("n1", {"force": "remove-members"})
    given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    child = pexpect.spawn(
        sys.executable, ["-m", "fence_prbarrier", "-o", "clear", *given, *words],
        cwd=str(stage.folder), env=environment(), timeout=PROCESS_LIMIT_SECONDS, encoding="utf-8",
        echo=False, dimensions=(50, 400),
    )  # fmt: skip
    child.expect_exact(QUESTION)
    assert child.before.count("remove the reservation, type 5") == len(stage.units)
    return child


def end(child: pexpect.spawn) -> tuple[int, str]:
    """Exit code, and what was said after the answer."""
    child.expect(pexpect.EOF)
    child.close()
    assert child.signalstatus is None
    return child.exitstatus, child.before


@pytest.mark.parametrize("answer", ["yes", "  yes "])
def test_yes(joined: Stage, answer: str) -> None:
    child = ask(joined)
    assert joined.keys("n2"), "nothing is removed before the answer"
    child.sendline(answer)
    code, said = end(child)
    assert code == 0 and said.split() == ["Success:", "Cleared"]
    assert all(picture[-2:] == ["nobody registered", "not reserved"]
               for picture in joined.pictures())  # fmt: skip


@pytest.mark.parametrize("answer", ["", "no", "y", "YES", "yes please", "yes\x00", "\xe9"])
def test_anything_else_removes_nothing(joined: Stage, answer: str) -> None:
    before = joined.pictures(), joined.memories()
    child = ask(joined)
    child.sendline(answer)
    code, said = end(child)
    assert code == 1 and NOTHING in said and "Success" not in said
    assert (joined.pictures(), joined.memories()) == before


@pytest.mark.parametrize("how", ["end of file", "Ctrl-C", "hang-up"])
def test_no_answer_removes_nothing(joined: Stage, how: str) -> None:
    before = joined.pictures(), joined.memories()
    child = ask(joined)
    if how == "end of file":
        child.sendeof()
    elif how == "Ctrl-C":
        child.sendintr()
    else:
        child.kill(signal.SIGHUP)
        child.expect(pexpect.EOF)
        child.close()
        assert child.signalstatus == signal.SIGHUP
        assert (joined.pictures(), joined.memories()) == before
        return
    code, said = end(child)
    assert code == 1 and NOTHING in said
    assert (joined.pictures(), joined.memories()) == before


def test_what_changes_while_it_waits_is_not_removed(joined: Stage) -> None:
    """Another node joins: what was shown is not what is there."""
    child = ask(joined)
    nodes = "n1:1,n2:2,n3:3,n4:4"
    assert joined.do("n4", "on", "n4", nodes=nodes).code == 0
    before = joined.pictures()
    child.sendline("yes")
    code, said = end(child)
    assert code == 1 and "changed since it was shown, so nothing was removed" in said
    assert joined.pictures() == before


def test_the_time_that_a_person_takes_does_not_count(joined: Stage) -> None:
    """power_timeout is each half's own, so a slow answer is no time-out."""
    child = ask(joined, "--power-timeout=5")
    with pytest.raises(pexpect.TIMEOUT):
        child.expect_exact("Success", timeout=5.5)
    child.sendline("yes")
    assert end(child)[0] == 0


def test_it_does_not_ask_where_the_question_would_not_be_seen(joined: Stage) -> None:
    """Output into a file: the person has not seen what would be removed."""
    options = joined.options("n1", {"force": "remove-members"})
    given = " ".join(f"'--{name.replace('_', '-')}={value}'" for name, value in options.items())
    script = f"'{sys.executable}' -m fence_prbarrier -o clear {given} > shown"
    child = pexpect.spawn(
        "/bin/sh", ["-c", script], cwd=str(joined.folder), env=environment(), encoding="utf-8",
        timeout=PROCESS_LIMIT_SECONDS,
    )  # fmt: skip
    code, said = end(child)
    assert code == 1 and "no terminal to ask at; say confirm=1" in said
    assert joined.keys("n2")
