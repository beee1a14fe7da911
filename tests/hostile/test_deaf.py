"""Others that hang, do not read, are stopped for good, or hand down what they should not."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ..agent.stage import PROCESS_LIMIT_SECONDS, Result, assert_refused
from .scene import ACTS, TAG, Act, Scene
from .trap import HOLD, Step, Trap, has_ended
from .walk import SIGNAL_CALLS, counts

GRACE_SECONDS = 8.0
HANGS_MS = 60_000
PIPE_BYTES = 1 << 16


def _act(name: str) -> Act:
    return next(act for act in ACTS if act.name == name)


@pytest.fixture
def joined(scene: Scene) -> Scene:
    scene.restore("joined")
    return scene


# -- those who do not listen -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["off", "resource monitor, repair", "watchdog, evicted"])
def test_a_syslog_daemon_that_hangs(scene: Scene, trapped: None, name: str) -> None:
    """Its socket takes nothing and refuses nothing, as while its disk is dead."""
    act = _act(name)
    scene.restore(act.situation)
    held = []

    def word(step: Step) -> int | None:
        if step.call in ("connect", "sendto"):
            held.append(step)
            return HOLD
        return None

    words, environment = act.call(scene)
    began = time.monotonic()
    ended = Trap(SIGNAL_CALLS, counts).run(words, environment, scene.folder, word)
    assert time.monotonic() - began < GRACE_SECONDS
    assert ended.alone
    assert held and ended.code == act.code, ended
    assert act.falsehoods(scene, ended) == []


def _run_deaf(scene: Scene, same_pipe: bool, **options: object) -> tuple[int, bytes, float]:
    """A run whose stderr is a full pipe that nobody empties; code, stdout, seconds."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    began = time.monotonic()
    words = scene.words("n1", "off", "n2", **options)
    try:
        done = subprocess.run(
            words, cwd=scene.folder, env={}, stdin=subprocess.DEVNULL,
            stdout=writing if same_pipe else subprocess.PIPE, stderr=writing,
            timeout=PROCESS_LIMIT_SECONDS, check=False,
        )  # fmt: skip
    finally:
        os.close(reading)
        os.close(writing)
    return done.returncode, done.stdout or b"", time.monotonic() - began


def test_a_reader_that_does_not_read_stderr(joined: Scene) -> None:
    """Thousands of lines for nobody: the fence goes on, and is answered."""
    code, out, seconds = _run_deaf(joined, False, verbose_level=5)
    assert (code, out) == (0, b"Success: Powered OFF\n")
    assert seconds < GRACE_SECONDS


def test_a_reader_that_reads_neither(joined: Scene) -> None:
    """An answer that cannot be told is no success, and is not waited for without end."""
    code, _, seconds = _run_deaf(joined, True, verbose_level=5)
    assert code == 1
    assert seconds < GRACE_SECONDS + 10


# -- what callers hand down ------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGCHLD, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_the_caller_ignores(
    joined: Scene, trapped: None, number: signal.Signals
) -> None:
    """Whoever ignores SIGCHLD hands that down: how a child ended could not be told."""

    def become() -> None:
        signal.signal(number, signal.SIG_IGN)

    def run(*words: str, **options: object) -> Result:
        done = subprocess.run(
            joined.words("n1", *words, **options), cwd=joined.folder, env={},
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
            timeout=PROCESS_LIMIT_SECONDS, preexec_fn=become, restore_signals=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    assert run("off", "n2") == (0, "Success: Powered OFF\n", "")
    # A worker that dies is told as such, not as the caller's error.
    trap_words = joined.words("n1", "status", "n2")
    trap = Trap(SIGNAL_CALLS, counts)

    def word(step: Step) -> None:
        if step.child and step.call == "write":
            os.kill(step.process, signal.SIGKILL)

    ended = trap.run(trap_words, {}, joined.folder, word, ignored=number)
    assert ended.code == 1 and "killed by signal 9" in ended.err, ended


# -- stopped for good ------------------------------------------------------------------------------


def _begin(scene: Scene, node: str, action: str, plug: str, **options: object):
    return subprocess.Popen(
        scene.words(node, action, plug, **options), cwd=scene.folder, env={},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


def _worker(process: int) -> int:
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.01)
    raise AssertionError("no worker")


def _hang(scene: Scene, what: str, milliseconds: int = HANGS_MS) -> None:
    scene.fault(f"delay:{milliseconds} initiator=iqn.2003-08.example.mock:n1 {what} times=1")


def test_an_on_that_is_stopped_for_good_keeps_no_lock(scene: Scene) -> None:
    """Ctrl-Z, or SIGSTOP to the agent and its worker: the next on ends it once it is overdue."""
    scene.restore("fresh")
    _hang(scene, "op=5f/06")
    process = _begin(scene, "n1", "on", "n1", power_timeout=2, on_timeout=2)
    worker = _worker(process.pid)
    lock = scene.state("n1") / f"{TAG:04x}-0001.lock"
    limit = time.monotonic() + 10
    # Until the registration is asleep: the join lock is held.
    while not (lock.exists() and lock.read_text()) and time.monotonic() < limit:
        time.sleep(0.01)
    time.sleep(0.3)
    for each in (process.pid, worker):
        os.kill(each, signal.SIGSTOP)
    try:
        soon = scene.do("n1", "on", "n1", on_timeout=1)
        assert_refused(soon, "another action=on")
        assert not has_ended(worker)
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            result = scene.do("n1", "on", "n1", on_timeout=4)
            if result.code == 0:
                break
        assert (result.code, result.out) == (0, "Success: Powered ON\n"), result
        assert f"process {worker}, was past its time: ended it" in result.err
        assert has_ended(worker)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    out, err = process.communicate(timeout=PROCESS_LIMIT_SECONDS)
    assert (process.returncode, out, err.count(b"\n")) == (1, b"", 1), err
    memory = scene.memory()
    assert memory is not None and memory.key is not None
    assert scene.all_keys("n1") == [[memory.key]] * 2


@pytest.mark.parametrize("name", ["on, first", "off", "status, off", "monitor", "resource start"])
def test_a_worker_that_is_stopped_for_good(scene: Scene, trapped: None, name: str) -> None:
    """Its supervisor answers at its deadline and ends it; the next run does the work."""
    act = _act(name)
    scene.restore(act.situation)
    stopped = []

    def word(step: Step) -> None:
        # While a command is under way; its LU's lock goes with it.
        if step.child and step.call == "openat" and step.what.endswith("lu1") and not stopped:
            stopped.append(step.process)
            os.kill(step.process, signal.SIGSTOP)

    words, environment = act.call(scene)
    words = [each.replace("--power-timeout=20", "--power-timeout=2") for each in words]
    if act.face == "ocf":
        environment["OCF_RESKEY_CRM_meta_timeout"] = "4000"
    began = time.monotonic()
    ended = Trap(SIGNAL_CALLS, counts).run(words, environment, scene.folder, word)
    assert time.monotonic() - began < 2 + GRACE_SECONDS
    assert stopped and ended.alone
    assert ended.code == 1 and "timed out" in ended.err and ended.out == "", ended
    again = act.run(scene)
    assert again.code == act.code and act.falsehoods(scene, again) == []


def test_a_supervisor_that_sleeps_beyond_its_deadline(scene: Scene, trapped: None) -> None:
    """What it says when it wakes is old: no success."""
    act = _act("off")
    scene.restore(act.situation)
    stopped = []

    def word(step: Step) -> None:
        if step.child and step.call == "exit_group" and not stopped:
            stopped.append(step.process)
        elif not step.child and step.call in ("select", "pselect6") and not stopped:
            stopped.append(step.process)
            os.kill(step.process, signal.SIGSTOP)
            time.sleep(1.5)
            os.kill(step.process, signal.SIGCONT)

    words, environment = act.call(scene)
    words = [each.replace("--power-timeout=20", "--power-timeout=1") for each in words]
    ended = Trap(SIGNAL_CALLS, counts).run(words, environment, scene.folder, word)
    assert (ended.code, ended.out) == (1, "") and "timed out" in ended.err, ended


def test_what_a_worker_without_its_supervisor_does(scene: Scene, trapped: None) -> None:
    """SIGKILL to the supervisor alone: the command under way is the last one."""
    act = _act("off")
    scene.restore(act.situation)
    sent = []

    def word(step: Step) -> None:
        if step.child and step.call == "rename" and step.what.endswith("lu0"):
            sent.append(step)
            supervisor = os.getsid(step.process)
            os.kill(supervisor, signal.SIGKILL)
            while not has_ended(supervisor):
                time.sleep(0.01)  # it hears until it has ended

    words, environment = act.call(scene)
    ended = Trap(SIGNAL_CALLS, counts).run(words, environment, scene.folder, word)
    assert ended.alone and ended.code == -signal.SIGKILL and len(sent) == 1
    assert scene.keys("n2", 1), "a second LU was still changed"
