"""The process that answers always answers by its deadline.

An SG_IO on a dead path can sleep in the kernel, out of reach of SIGKILL, for
minutes.  So the process that the cluster manager waits for never touches a
device: a forked worker does, and reports over a pipe.  At the deadline the
supervisor tells whatever is known, and goes.

The worker reports before each command; once nobody listens it sends no more.
"""

from __future__ import annotations

import marshal
import os
import time
from _thread import allocate_lock
from select import select

from .dispatcher import BEGIN, END
from .errors import in_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

RESULT = "result"
FRAME_LENGTH_BYTES = 4
MAX_FRAME_BYTES = 1 << 22
READ_BYTES = 1 << 16
SIGKILL = 9


class Answer:
    """What the agent says: an exit code, lines for stdout, lines for stderr."""

    __slots__ = ("code", "out", "err")

    def __init__(self, code: int, out: list[str], err: list[str]) -> None:
        self.code = code
        self.out = out
        self.err = err


class Pipe:
    """The worker's end: whole frames, whichever thread sends them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._sending = allocate_lock()

    def report(self, kind: str, text: str) -> None:
        """Tell the supervisor; raises OSError where it is gone."""
        self._send((kind, text))

    def answer(self, answer: Answer) -> None:
        self._send((RESULT, answer.code, answer.out, answer.err))

    def _send(self, message: tuple[Any, ...]) -> None:
        body = marshal.dumps(message)
        frame = len(body).to_bytes(FRAME_LENGTH_BYTES, "big") + body
        with self._sending:
            while frame:
                frame = frame[os.write(self._descriptor, frame) :]


def supervise(
    work: Callable[[Pipe], Answer], deadline: float, hear: Callable[[str, str], None]
) -> Answer:
    """Run ``work`` in a worker until ``deadline`` (time.monotonic()'s scale).

    ``hear`` receives each report (kind, text).  Whatever happens to the worker,
    an Answer comes back by the deadline, and only the worker's own one is good.
    """
    _wait_for_children()
    try:
        reading, writing = os.pipe()
        worker = os.fork()
    except OSError as error:
        return Answer(1, [], [f"no worker process could be started: {error.strerror}"])
    if worker == 0:
        os.close(reading)
        _be_worker(work, Pipe(writing))
    os.close(writing)
    under_way: list[str] = []
    try:
        for message in _messages(reading, deadline):
            if message[0] == RESULT:
                return Answer(message[1], message[2], message[3])
            _keep_track(under_way, message[0], message[1])
            hear(message[0], message[1])
    except TimeoutError:
        os.kill(worker, SIGKILL)
        waiting = ", ".join(under_way) or "nothing of a device"
        return Answer(1, [], [f"timed out: no answer yet from: {waiting}"])
    return Answer(1, [], [f"the worker ended without an answer, {_end_of(worker)}"])


def _wait_for_children() -> None:
    """A caller that ignores SIGCHLD hands that down; no child's end could be told then."""
    import _signal

    try:
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    except ValueError:
        pass  # not in the main thread: whoever runs that has seen to it


def _be_worker(work: Callable[[Pipe], Answer], pipe: Pipe) -> None:
    """Never returns.  Whoever waits for our output must not wait for the worker."""
    try:
        try:
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nothing, descriptor)
            answer = work(pipe)
        except Exception as error:
            answer = Answer(1, [], [f"not done: {in_words(error)}"])
        pipe.answer(answer)
    except OSError:
        pass  # the supervisor is gone: nobody is left to tell
    finally:
        os._exit(0)


def _messages(reading: int, deadline: float) -> Iterator[tuple[Any, ...]]:
    """Each message as it comes, until the worker ends; TimeoutError at the deadline."""
    received = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select([reading], [], [], left)[0]:
            raise TimeoutError
        chunk = os.read(reading, READ_BYTES)
        if not chunk:
            return
        received += chunk
        while len(received) >= FRAME_LENGTH_BYTES:
            length = int.from_bytes(received[:FRAME_LENGTH_BYTES], "big")
            end = FRAME_LENGTH_BYTES + length
            if length > MAX_FRAME_BYTES or len(received) < end:
                break
            yield marshal.loads(received[FRAME_LENGTH_BYTES:end])
            received = received[end:]


def _keep_track(under_way: list[str], kind: str, what: str) -> None:
    if kind == BEGIN:
        under_way.append(what)
    elif kind == END and what in under_way:
        under_way.remove(what)


def _end_of(worker: int) -> str:
    """How the worker ended; its pipe is closed, so it has all but ended."""
    _, status = os.waitpid(worker, 0)
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return f"exit code {os.WEXITSTATUS(status)}"
