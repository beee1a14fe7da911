"""Stops a process, its children and their threads before each system call of a set.

Linux tells a listener of every such call (seccomp user notification) and waits
for its word: go on, or fail with an error.  Meanwhile the listener may signal
the process, or let others act.  The program itself is the one that users run:
nothing is patched, and every thread is seen in one order.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

# linux/seccomp.h, linux/filter.h, linux/audit.h.
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER = 1 << 3
SECCOMP_RET_USER_NOTIF = 0x7FC00000
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_IOCTL_NOTIF_RECV = 0xC0502100
SECCOMP_IOCTL_NOTIF_SEND = 0xC0182101
CONTINUE = 1
PR_SET_NO_NEW_PRIVS = 38
BPF_LOAD, BPF_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06
# struct seccomp_notif: id, pid, flags, nr, arch, instruction pointer, six arguments.
NOTIFICATION = struct.Struct("=QIIiIQ6Q")
RESPONSE = struct.Struct("=QqiI")
MAX_PATH_BYTES = 4096
POLL_SECONDS = 0.2
LIMIT_SECONDS = 40.0

# By machine: the audit architecture, seccomp's own number, and those of the calls.
MACHINES = {
    "x86_64": (0xC000003E, 317, {
        "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6,
        "pread64": 17, "pwrite64": 18, "select": 23, "dup2": 33, "nanosleep": 35, "socket": 41,
        "connect": 42, "sendto": 44, "clone": 56, "fork": 57, "vfork": 58, "wait4": 61, "kill": 62,
        "flock": 73, "fsync": 74, "ftruncate": 77, "rename": 82, "mkdir": 83, "unlink": 87,
        "clock_nanosleep": 230, "exit_group": 231, "openat": 257, "newfstatat": 262,
        "pselect6": 270, "dup3": 292, "pipe2": 293, "clone3": 435, "getdents64": 217,
        "mmap": 9, "brk": 12,
    }),
}  # fmt: skip
# Which argument is a path, and which a descriptor.
PATH_AT = {"open": 0, "stat": 0, "lstat": 0, "mkdir": 0, "unlink": 0, "rename": 1, "openat": 1,
           "newfstatat": 1}  # fmt: skip
DESCRIPTOR_AT = dict.fromkeys(
    ("read", "write", "close", "fstat", "pread64", "pwrite64", "flock", "fsync", "ftruncate",
     "connect", "sendto", "getdents64"), 0,
)  # fmt: skip


class Step(NamedTuple):
    """One system call that is about to be made: by which process, and on what."""

    number: int
    process: int
    child: bool
    call: str
    what: str

    def __str__(self) -> str:
        return f"{'worker' if self.child else 'agent'}: {self.call} {self.what}".rstrip()


class Ended(NamedTuple):
    """How the process ended; ``code`` is negative where a signal ended it."""

    code: int
    out: str
    err: str
    # Whether every process that it started had ended, too, when it was over.
    alone: bool


# The call never comes back.
HOLD = -1
# What to do at a step: None to let it be, HOLD, or the error number to fail it with.
Word = Callable[[Step], Optional[int]]
Filter = Callable[[str, str, str], bool]


def why_not() -> str:
    """Why no trap can be set here, empty if it can."""
    if platform.machine() not in MACHINES:
        return f"no table of system calls for {platform.machine()}"
    try:
        ended = Trap(["write"]).run(["/bin/echo", "x"], {}, Path("/"), lambda step: None)
    except OSError as error:
        return f"no seccomp user notification here: {error}"
    return "" if ended.out == "x\n" else f"seccomp user notification does not work: {ended}"


def _program(calls: Sequence[str]) -> bytes:
    """The filter: a notification for each of these calls, all others go on."""
    architecture, _, numbers = MACHINES[platform.machine()]
    lines = [(BPF_LOAD, 0, 0, 4), (BPF_EQUAL, 1, 0, architecture)]
    lines += [(BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW), (BPF_LOAD, 0, 0, 0)]
    for index, call in enumerate(calls):
        lines.append((BPF_EQUAL, len(calls) - index, 0, numbers[call]))
    lines += [(BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW), (BPF_RETURN, 0, 0, SECCOMP_RET_USER_NOTIF)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


class Trap:
    """Runs programs, stopping at the calls named that ``counts`` finds worth it."""

    def __init__(self, calls: Sequence[str], counts: Filter | None = None) -> None:
        self.calls = tuple(calls)
        self._counts = counts or (lambda call, what, other: True)
        self._names = {MACHINES[platform.machine()][2][call]: call for call in calls}
        self._filter = _program(calls)
        self._libc = ctypes.CDLL(None, use_errno=True)

    def run(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path,
        word: Word,
        stdin: bytes = b"",
        ignored: int = 0,
    ) -> Ended:
        """Run a program; ``word`` is asked before each call that counts.

        ``ignored`` is a signal that the program finds ignored.
        """
        ours, theirs = socket.socketpair()
        ends = [os.pipe() for _ in range(3)]
        process = os.fork()
        if process == 0:
            if ignored:
                signal.signal(ignored, signal.SIG_IGN)
            self._become(words, environment, cwd, ends, theirs)
        theirs.close()
        (into_child, into), (out, out_child), (err, err_child) = ends
        for end in (into_child, out_child, err_child):
            os.close(end)
        listener = -1
        try:
            os.write(into, stdin)
            os.close(into)
            listener = _receive(ours)
            alone = _Run(self, listener, process, word).serve()
            _, status = os.waitpid(process, 0)
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
            return Ended(code, _drained(out), _drained(err), alone)
        finally:
            ours.close()
            for end in (out, err, listener):
                if end >= 0:
                    os.close(end)

    def _become(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path,
        ends: list[tuple[int, int]],
        gate: socket.socket,
    ) -> None:
        """In the child: its own session, the filter, then the program.  Never returns."""
        try:
            os.setsid()
            os.chdir(cwd)
            for number, end in enumerate((ends[0][0], ends[1][1], ends[2][1])):
                os.dup2(end, number)
            buffer = ctypes.create_string_buffer(self._filter)
            code = struct.pack("@HP", len(self._filter) // 8, ctypes.addressof(buffer))
            number = MACHINES[platform.machine()][1]
            flags = SECCOMP_FILTER_FLAG_NEW_LISTENER
            gate_number = gate.fileno()
            message = array.array("i", [0])
            self._libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            listener = self._libc.syscall(number, SECCOMP_SET_MODE_FILTER, flags, code)
            message[0] = listener
            if listener >= 0:
                # sendmsg and execve are in no set, so nothing waits before the listener is known.
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, message)]
                socket.socket(fileno=gate_number).sendmsg([b"x"], rights)
                os.execve(words[0], list(words), dict(environment))
        finally:
            os._exit(127)

    def step_of(self, raw: bytes, process: int, number: int) -> tuple[int, Step | None]:
        """(id, what is about to be done, None where it does not count)."""
        identity, thread, _, call_number, _, _, *arguments = NOTIFICATION.unpack(raw)
        call = self._names[call_number]
        what = other = ""
        if call in PATH_AT:
            what = _text(thread, arguments[PATH_AT[call]])
            other = _text(thread, arguments[0]) if call == "rename" else ""
            if not what and call == "newfstatat":
                what = _target(thread, arguments[0] & 0x7FFFFFFF)
        elif call in DESCRIPTOR_AT:
            what = _target(thread, arguments[0] & 0x7FFFFFFF)
        if not self._counts(call, what, other):
            return identity, None
        owner = _group(thread)
        return identity, Step(number, owner, owner != process, call, what)


class _Run:
    """One run: answers notifications until the last process that it began has ended."""

    def __init__(self, trap: Trap, listener: int, process: int, word: Word) -> None:
        self._trap = trap
        self._listener = listener
        self._process = process
        self._word = word
        self._number = 0

    def serve(self) -> bool:
        """Whether all processes ended by themselves within LIMIT_SECONDS."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        limit = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < limit:
            for _, happened in poll.poll(POLL_SECONDS * 1000):
                if happened & select.POLLIN:
                    self._answer()
                elif happened & (select.POLLHUP | select.POLLERR):
                    return True
        _end(self._process)
        return False

    def _answer(self) -> None:
        raw = bytearray(NOTIFICATION.size)
        try:
            fcntl.ioctl(self._listener, SECCOMP_IOCTL_NOTIF_RECV, raw, True)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return  # it was killed before it could be told of
            raise
        identity, step = self._trap.step_of(bytes(raw), self._process, self._number)
        failure = None
        if step is not None:
            self._number += 1
            failure = self._word(step)
            if failure == HOLD:
                return
        answer = RESPONSE.pack(identity, 0, -(failure or 0), 0 if failure else CONTINUE)
        try:
            fcntl.ioctl(self._listener, SECCOMP_IOCTL_NOTIF_SEND, bytearray(answer), True)
        except OSError as error:
            if error.errno != errno.ENOENT:  # killed, or stopped: it comes again
                raise


def _end(session: int) -> None:
    """SIGKILL for every process of the session that a run has begun."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _fields(int(entry))[3:4] == [str(session)]:
            try:
                os.kill(int(entry), signal.SIGKILL)
            except ProcessLookupError:
                pass


def _fields(process: int) -> list[str]:
    """State, parent, group, session, ... (proc_pid_stat(5)); none where it is gone."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def has_ended(process: int) -> bool:
    """Whether it is gone, or waits for its burial only."""
    return _fields(process)[:1] in ([], ["Z"], ["X"])


def _group(thread: int) -> int:
    """The process that a thread belongs to."""
    try:
        with open(f"/proc/{thread}/status", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("Tgid:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return thread


def _text(thread: int, address: int) -> str:
    """The path at an address of the stopped process."""
    try:
        memory = os.open(f"/proc/{thread}/mem", os.O_RDONLY)
        try:
            # Not beyond the page's end: the next one may not be there.
            size = min(MAX_PATH_BYTES, 4096 - address % 4096)
            raw = os.pread(memory, size, address)
            if b"\0" not in raw:
                raw += os.pread(memory, MAX_PATH_BYTES, address + size)
        finally:
            os.close(memory)
    except OSError:
        return "?"
    return os.fsdecode(raw.partition(b"\0")[0])


def _target(thread: int, descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/{thread}/fd/{descriptor}")
    except OSError:
        return "?"


def _receive(gate: socket.socket) -> int:
    """The listener's descriptor, from the child."""
    message = array.array("i", [0])
    _, rights, _, _ = gate.recvmsg(1, socket.CMSG_SPACE(message.itemsize))
    if not rights:
        raise OSError(errno.ENOSYS, "the kernel gives no listener")
    message.frombytes(rights[0][2][: message.itemsize])
    return message[-1]


def _drained(end: int) -> str:
    """All that was written into a pipe whose writers are gone."""
    text = b""
    while True:
        chunk = os.read(end, 1 << 16)
        if not chunk:
            return text.decode("utf-8", "backslashreplace")
        text += chunk
