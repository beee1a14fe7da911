"""What is said where: every line on stderr becomes a warning in Pacemaker's log."""

from __future__ import annotations

import os

import pytest

from .stage import Stage, assert_refused, finish

ACTIONS = [("on", "n1"), ("off", "n2"), ("status", "n3"), ("monitor", ""), ("list-status", ""),
           ("list", ""), ("validate-all", "")]  # fmt: skip


@pytest.mark.parametrize(("action", "plug"), ACTIONS)
def test_success_is_silent_on_stderr(joined: Stage, action: str, plug: str) -> None:
    assert joined.do("n1", action, plug).err == ""
    assert finish(joined.begin("n1", action, plug)).err == ""


def test_verbose_shows_every_command_and_what_came_back(joined: Stage) -> None:
    result = joined.do("n1", "off", "n2", verbose=1)
    assert (result.code, result.out) == (0, "Success: Powered OFF\n")
    for words in ("PREEMPT AND ABORT", "[5f 05 05 ", "READ FULL STATUS", "-> GOOD", "drained by:"):
        assert words in result.err
    assert f"{joined.keys('n1')[0]:016x}" in result.err.replace(" ", "")


def test_verbose_on_the_command_line_may_be_repeated(joined: Stage) -> None:
    common = joined.begin("n1", "status", "n2", verbose_level=3)
    assert "READ FULL STATUS" in finish(common).err
    assert "READ FULL STATUS" in joined.do("n1", "status", "n2", verbose_level=3).err


def test_verbose_level_1_tells_decisions_not_commands(joined: Stage) -> None:
    for level in (1, 2):
        err = joined.do("n1", "status", "n2", verbose_level=level).err
        assert "status: 4 SCSI commands" in err
        assert "READ FULL STATUS" not in err


def test_quiet_says_nothing_even_of_failures(joined: Stage) -> None:
    result = joined.do("n2", "off", "n2", quiet=1)
    assert result == (1, "", "")
    assert joined.do("n1", "status", "n2", quiet=1, verbose=1) == (0, "Status: ON\n", "")


def test_debug_file_has_everything_and_stderr_nothing(joined: Stage) -> None:
    file = joined.folder / "debug.log"
    assert joined.do("n1", "off", "n2", debug_file=file) == (0, "Success: Powered OFF\n", "")
    text = file.read_text()
    assert "[5f 05 05 " in text and "Success: Powered OFF" in text
    assert_refused(joined.do("n1", "off", "n9", debug_file=file), "'n9'")
    assert file.read_text().startswith(text) and "'n9'" in file.read_text()[len(text) :]


def test_logfile_has_what_stderr_has(joined: Stage) -> None:
    file = joined.folder / "log"
    assert joined.do("n1", "status", "n2", logfile=file).code == 0
    assert file.read_text() == ""
    err = joined.do("n1", "status", "n2", logfile=file, verbose_level=1).err
    logged = file.read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in logged] == err.splitlines() != []


@pytest.mark.parametrize("name", ["debug_file", "logfile"])
def test_a_log_that_cannot_be_opened_is_an_error(joined: Stage, name: str) -> None:
    before = joined.pictures()
    result = joined.do("n1", "off", "n2", **{name: joined.folder / "none" / "log"})
    assert_refused(result, name, "No such file")
    assert joined.pictures() == before


@pytest.mark.parametrize("name", ["debug_file", "logfile"])
def test_a_log_that_takes_nothing_does_not_stop_a_fence(joined: Stage, name: str) -> None:
    """A full device; and a pipe that nobody empties, which holds nobody up."""
    result = joined.do("n1", "off", "n2", **{name: "/dev/full"})
    assert result == (0, "Success: Powered OFF\n", "")
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writing, bytes(4096))
        pipe = f"/proc/{os.getpid()}/fd/{writing}"
        result = joined.do("n1", "off", "n3", power_timeout=20, **{name: pipe})
        assert result == (0, "Success: Powered OFF\n", "")
    finally:
        os.close(reading)
        os.close(writing)
