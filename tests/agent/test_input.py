"""How stdin and argv are read, seen from outside."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .stage import Stage, assert_refused, environment, finish, run_raw, start


def _lines(stage: Stage, *more: str) -> bytes:
    options = stage.options("n1", {})
    lines = [f"{name}={value}" for name, value in options.items()]
    return "\n".join(["action=status", "plug=n2", *lines, *more, ""]).encode()


def test_comments_blank_lines_blanks_and_quotes(joined: Stage) -> None:
    text = _lines(joined, "# plug=n9", "", "   ", " plug = 'n3' ", '\tport="n9"\r')
    assert run_raw(text, joined.folder) == (0, "Status: ON\n", "")


def test_the_last_one_wins(joined: Stage) -> None:
    assert joined.do("n1", "off", "n2").code == 0
    assert run_raw(_lines(joined, "plug=n9", "plug=n2"), joined.folder).code == 2
    assert run_raw(_lines(joined, "plug=n3", "action=monitor"), joined.folder) == (0, "", "")


def test_no_newline_at_the_end(joined: Stage) -> None:
    assert run_raw(_lines(joined).rstrip(b"\n"), joined.folder) == (0, "Status: ON\n", "")


def test_an_empty_value_is_not_set(joined: Stage) -> None:
    """A cluster manager sends name= for what the administrator left out."""
    text = _lines(joined, "power_timeout=", "drain=", "quiet=", "cluster_tag=")
    assert run_raw(text, joined.folder) == (0, "Status: ON\n", "")


def test_unknown_keys_are_warned_about_and_ignored(joined: Stage) -> None:
    result = run_raw(_lines(joined, "pcmk_colour=red", "priority=1"), joined.folder)
    assert (result.code, result.out) == (0, "Status: ON\n")
    lines = result.err.splitlines()
    assert len(lines) == 2
    assert "unknown" in lines[0] and "'pcmk_colour'" in lines[0]
    assert "'priority'" in lines[1]


@pytest.mark.parametrize("word", ["1", "yes", "on", "true", "TRUE", "Yes"])
def test_true_words(joined: Stage, word: str) -> None:
    """quiet silences the warning."""
    result = run_raw(_lines(joined, "no_such=1", f"quiet={word}"), joined.folder)
    assert result == (0, "Status: ON\n", "")


@pytest.mark.parametrize("word", ["0", "no", "off", "false", "FALSE", "Off"])
def test_false_words(joined: Stage, word: str) -> None:
    result = run_raw(_lines(joined, "no_such=1", f"quiet={word}"), joined.folder)
    assert (result.code, result.err.count("\n")) == (0, 1)


def test_what_pacemaker_sends(joined: Stage) -> None:
    """Attributes in any order, nodename always, plug and port by pcmk_host_argument."""
    options = joined.options("n1", {})
    lines = [f"{name}={value}" for name, value in reversed(sorted(options.items()))]
    lines += ["nodename=n2", "port=n2", "plug=n2", "action=off", ""]
    result = run_raw("\n".join(lines).encode(), joined.folder)
    assert result == (0, "Success: Powered OFF\n", "")


def test_options_in_every_spelling(joined: Stage) -> None:
    plain = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in joined.options("n1", {}).items()
        if name != "devices"
    ]
    first = joined.devices.split(",")[0]
    for words in (
        ["-o", "status", "-n", "n2", "-d", first],
        ["-ostatus", "-nn2", f"-d{first}"],
        ["--action", "status", "--plug", "n2", "--devices", first],
        ["-o", "off", "-n", "n9", "--action=status", "--port=n9", "-n", "n2", "-d", first],
        ["-q", "-o", "status", "-n", "n2", "-d", first],
    ):
        result = finish(start([*words, *plain], joined.folder))
        assert result == (0, "Status: ON\n", ""), words


def test_wrong_options_are_one_line(joined: Stage) -> None:
    for words, named in (
        (["--plugs=n1"], "plugs"),
        (["-x"], "-x"),
        (["-o"], "-o"),
        (["status"], "'status'"),
        (["--quiet=1"], "quiet"),
        (["-o", "status", "-n", "n1", "/dev/sda"], "'/dev/sda'"),
    ):
        assert_refused(finish(start(words, joined.folder)), named, "--help")


def test_arguments_that_are_not_utf_8(bare: Stage) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "fence_prbarrier", b"--plug=n\xff", "-o", "status"],
        cwd=bare.folder,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr.count(b"\n")) == (1, b"", 1)
    assert b"plug: the value is not UTF-8" in run.stderr


def test_the_working_directory_is_not_ours(joined: Stage) -> None:
    """Relative device names, and a relative state_dir, would lead anywhere."""
    result = joined.do("n1", "monitor", devices="mock:lu0")
    assert_refused(result, "mock:lu0", "absolute")
    assert_refused(joined.do("n1", "on", "n1", state_dir="state"), "state_dir", "absolute")
    assert not (joined.folder / "state").exists()


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_descriptor_is_no_success_and_no_traceback(joined: Stage, closed: int) -> None:
    """Without stdout the answer is lost, so it is a failure; stderr and stdin are not needed."""
    process = start_closed(joined, closed)
    out, err = process.communicate(timeout=60)
    assert b"Traceback" not in err
    if closed == 1:
        assert (process.returncode, err) == (1, b"fence_prbarrier: standard output is closed: the"
                                                b" answer cannot be told\n")  # fmt: skip
    else:
        assert (process.returncode, out, err) == (2, b"Status: OFF\n", b"")


def start_closed(stage: Stage, closed: int) -> subprocess.Popen[bytes]:
    assert stage.do("n1", "off", "n2").code == 0
    words = ["-o", "status", "-n", "n2"]
    for name, value in stage.options("n1", {}).items():
        words += [f"--{name.replace('_', '-')}", value]
    shell = f'exec "$@" {closed}>&-' if closed else 'exec "$@" 0<&-'
    command = ["sh", "-c", shell, "sh", sys.executable, "-m", "fence_prbarrier", *words]
    return subprocess.Popen(
        command,
        cwd=stage.folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_stdout_that_takes_nothing_is_a_failure(joined: Stage) -> None:
    words = ["-o", "status", "-n", "n2"]
    for name, value in joined.options("n1", {}).items():
        words += [f"--{name.replace('_', '-')}", value]
    with open("/dev/full", "wb") as full:
        run = subprocess.run(
            [sys.executable, "-m", "fence_prbarrier", *words],
            cwd=joined.folder,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert run.returncode == 1
    assert b"No space left" in run.stderr and b"Traceback" not in run.stderr
