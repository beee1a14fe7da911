"""The process that answers does so by its deadline; only the worker's own answer is good."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from fence_prbarrier import supervisor
from fence_prbarrier.supervisor import (
    FRAME_LENGTH_BYTES,
    MAX_FRAME_BYTES,
    Answer,
    Pipe,
    supervise,
)

DONE = ["Success: Powered OFF"]
LONG = 30.0
SHORT = 0.3
GRACE = 2.0


def _supervise(work: object, seconds: float = LONG) -> tuple[Answer, list[tuple[str, str]], float]:
    """(answer, what was heard, seconds it took)."""
    heard: list[tuple[str, str]] = []
    began = time.monotonic()
    answer = supervise(work, began + seconds, lambda *words: heard.append(words))  # type: ignore[arg-type]
    return answer, heard, time.monotonic() - began


def test_the_workers_answer_comes_through() -> None:
    def work(pipe: Pipe) -> Answer:
        pipe.report("info", "one")
        pipe.report("detail", "Größe \udcff" * 10_000)
        return Answer(2, ["a", "b"], ["c"])

    answer, heard, _ = _supervise(work)
    assert (answer.code, answer.out, answer.err) == (2, ["a", "b"], ["c"])
    assert heard == [("info", "one"), ("detail", "Größe \udcff" * 10_000)]


def test_a_hung_worker_is_named_and_killed() -> None:
    pids = os.pipe()

    def work(pipe: Pipe) -> Answer:
        os.write(pids[1], str(os.getpid()).encode())
        pipe.report("begin", "READ KEYS on /dev/sda")
        pipe.report("begin", "READ KEYS on /dev/sdb")
        pipe.report("end", "READ KEYS on /dev/sda")
        pipe.report("begin", "PREEMPT on /dev/sdc")
        time.sleep(LONG)
        return Answer(0, DONE, [])

    answer, _, took = _supervise(work, SHORT)
    assert SHORT <= took < SHORT + GRACE
    assert (answer.code, answer.out) == (1, [])
    expected = "timed out: no answer yet from: READ KEYS on /dev/sdb, PREEMPT on /dev/sdc"
    assert answer.err == [expected]
    worker = int(os.read(pids[0], 20))
    assert os.waitpid(worker, 0)[1] == signal.SIGKILL


def test_a_worker_that_hangs_before_it_says_anything() -> None:
    answer, _, took = _supervise(lambda pipe: time.sleep(LONG), SHORT)
    assert took < SHORT + GRACE
    assert (answer.code, answer.out) == (1, []) and "timed out" in answer.err[0]


def test_a_deadline_that_is_past() -> None:
    answer, _, _ = _supervise(lambda pipe: Answer(0, DONE, []), -1.0)
    assert (answer.code, answer.out) == (1, []) and "timed out" in answer.err[0]


def test_a_talkative_worker_does_not_put_the_deadline_off() -> None:
    def work(pipe: Pipe) -> Answer:
        while True:
            pipe.report("info", "still here")

    answer, heard, took = _supervise(work, SHORT)
    assert took < SHORT + GRACE and heard
    assert (answer.code, answer.out) == (1, [])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_killed_worker_is_no_success(number: int) -> None:
    def work(pipe: Pipe) -> Answer:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return Answer(0, DONE, [])

    answer, _, took = _supervise(work)
    assert (answer.code, answer.out) == (1, []) and took < GRACE
    assert answer.err == [f"the worker ended without an answer, killed by signal {int(number)}"]


def test_a_worker_that_exits_is_no_success() -> None:
    """Whatever its exit code: only an answer is an answer."""
    for code in (0, 1, 3):
        answer, _, _ = _supervise(lambda pipe, code=code: os._exit(code))
        assert (answer.code, answer.out) == (1, [])
        assert answer.err == [f"the worker ended without an answer, exit code {code}"]


@pytest.mark.parametrize(
    ("defect", "words"),
    [
        (ValueError("x"), "internal error: ValueError"),
        (KeyError("k"), "internal error: KeyError"),
        (OSError(5, "y", "/file"), "y: /file"),
        (OSError("text only"), "text only: input or output"),
        (MemoryError(), "no memory"),
        (ImportError("z"), "cannot be loaded: z"),
    ],
)
def test_a_defect_is_one_line_and_no_success(defect: Exception, words: str) -> None:
    def work(pipe: Pipe) -> Answer:
        raise defect

    answer, _, _ = _supervise(work)
    assert (answer.code, answer.out, len(answer.err)) == (1, [], 1)
    assert words in answer.err[0] and "\n" not in answer.err[0]


def test_an_answer_that_was_cut_off_is_no_success() -> None:
    """Killed while it wrote: every part of the frame that may have come."""
    for length in (1, FRAME_LENGTH_BYTES, FRAME_LENGTH_BYTES + 1, 20):

        def work(pipe: Pipe, length: int = length) -> Answer:
            whole: list[bytes] = []
            real = os.write
            os.write = lambda _, data: whole.append(bytes(data)) or len(data)  # type: ignore[assignment]
            pipe.answer(Answer(0, DONE, []))
            real(pipe._descriptor, b"".join(whole)[:length])
            os._exit(0)

        answer, _, _ = _supervise(work)
        assert (answer.code, answer.out) == (1, [])


def test_a_frame_that_is_too_long_is_no_success() -> None:
    def work(pipe: Pipe) -> Answer:
        os.write(pipe._descriptor, (MAX_FRAME_BYTES + 1).to_bytes(FRAME_LENGTH_BYTES, "big"))
        os._exit(0)

    answer, _, _ = _supervise(work)
    assert (answer.code, answer.out) == (1, [])


def test_frames_of_many_threads_stay_whole() -> None:
    def work(pipe: Pipe) -> Answer:
        def talk(name: int) -> None:
            for number in range(50):
                pipe.report("info", f"{name} {number} " + "x" * 9000)

        threads = [threading.Thread(target=talk, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Answer(0, DONE, [])

    answer, heard, _ = _supervise(work)
    assert answer.out == DONE
    assert len(heard) == 400 and all(len(text) > 9000 for _, text in heard)


@pytest.mark.parametrize("name", ["pipe", "fork"])
def test_no_process_to_be_had(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(supervisor.os, name, refuse)
    answer, _, _ = _supervise(lambda pipe: Answer(0, DONE, []))
    assert (answer.code, answer.out) == (1, [])
    assert answer.err == ["no worker process could be started: Resource temporarily unavailable"]


def test_a_worker_that_nobody_hears_sends_no_more() -> None:
    """Its report before each command raises once the supervisor has gone."""
    marks = os.pipe()

    def work(pipe: Pipe) -> Answer:
        try:
            time.sleep(SHORT)
            for _ in range(3):
                pipe.report("begin", "PREEMPT AND ABORT")
            os.write(marks[1], b"sent")
        except OSError:
            os.write(marks[1], b"kept")
            raise
        return Answer(0, DONE, [])

    supervising = os.fork()
    if supervising == 0:
        threading.Timer(SHORT / 3, lambda: os._exit(0)).start()
        _supervise(work)
        os._exit(1)
    os.waitpid(supervising, 0)
    assert os.read(marks[0], 10) == b"kept"


def test_the_worker_holds_none_of_our_standard_descriptors() -> None:
    """Who reads our output must get its EOF although the worker still sleeps."""
    reading, writing = os.pipe()
    supervising = os.fork()
    if supervising == 0:
        for descriptor in (1, 2):
            os.dup2(writing, descriptor)
        os.close(writing)
        os.close(reading)
        threading.Timer(SHORT, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
        supervise(lambda pipe: time.sleep(2.0), time.monotonic() + LONG, lambda *_: None)  # type: ignore[arg-type, return-value]
        os._exit(1)
    os.close(writing)
    began = time.monotonic()
    assert os.read(reading, 1) == b""
    assert time.monotonic() - began < 1.5
    os.waitpid(supervising, 0)


def test_what_the_worker_prints_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    def work(pipe: Pipe) -> Answer:
        os.write(1, b"Success: Powered OFF\n")
        os.write(2, b"noise\n")
        return Answer(1, [], ["why"])

    answer, _, _ = _supervise(work)
    assert (answer.code, answer.out, answer.err) == (1, [], ["why"])
    assert capfd.readouterr() == ("", "")
