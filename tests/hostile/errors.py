"""Errors of the system at the steps of every action: out of room, files, memory; I/O errors."""

from __future__ import annotations

import errno
from typing import NamedTuple

from .scene import ACTS, Act, Scene
from .trap import Step, Trap
from .walk import Case, Finding, complaints, disturb, is_of_memory, steps_of

OPENING = (errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EIO, errno.ENOMEM)
WRITING = (errno.ENOSPC, errno.EIO)
STARTING = (errno.EAGAIN, errno.ENOMEM)
# What each call may fail with; the first ones are those of a bounded run.
ERRORS = {
    "openat": OPENING, "open": OPENING,
    "read": (errno.EIO,), "pread64": (errno.EIO,), "getdents64": (errno.EIO,),
    "stat": (errno.EIO, errno.ENOMEM), "lstat": (errno.EIO, errno.ENOMEM),
    "newfstatat": (errno.EIO, errno.ENOMEM), "fstat": (errno.EIO,),
    "write": WRITING, "pwrite64": WRITING, "ftruncate": WRITING, "fsync": WRITING,
    "rename": (*WRITING, errno.EROFS), "unlink": (errno.EROFS, errno.EIO),
    "mkdir": (errno.ENOSPC, errno.EROFS, errno.EACCES), "flock": (errno.ENOLCK, errno.EINTR),
    "pipe2": (errno.EMFILE, errno.ENFILE), "clone": STARTING, "clone3": STARTING,
    "fork": STARTING, "vfork": STARTING, "select": (errno.ENOMEM, errno.EINTR),
    "pselect6": (errno.ENOMEM, errno.EINTR), "dup2": (errno.EMFILE,), "dup3": (errno.EMFILE,),
    "socket": (errno.EMFILE, errno.ENOMEM), "connect": (errno.ECONNREFUSED, errno.EINTR),
    "sendto": (errno.ENOBUFS, errno.EINTR), "close": (errno.EIO,), "wait4": (errno.EINTR,),
    "kill": (errno.EPERM,),
    "clock_nanosleep": (errno.EINTR,), "nanosleep": (errno.EINTR,), "exit_group": (),
}  # fmt: skip


class Fault(NamedTuple):
    """One case to be run: the step fails, this time only."""

    act: Act
    at: int
    error: int
    memory: bool

    def __str__(self) -> str:
        return errno.errorcode[self.error]


def faults(scene: Scene, trap: Trap) -> list[Fault]:
    """Every error at every step of every action."""
    found = []
    for act in ACTS:
        steps, _ = steps_of(scene, act, trap)
        for step in steps:
            for error in ERRORS[step.call]:
                found.append(Fault(act, step.number, error, is_of_memory(step)))
    return found


def strike(scene: Scene, trap: Trap, fault: Fault) -> tuple[Case, list[Finding]]:
    """Run one case; what is wrong after it."""

    def disturbance(step: Step) -> int | None:
        # Another order of threads may have brought another call here.
        return fault.error if fault.error in ERRORS[step.call] else None

    case = disturb(scene, fault.act, trap, fault.at, disturbance)
    return case, [
        Finding(fault.act.name, str(fault), str(case.step), each)
        for each in complaints(scene, fault.act, case)
    ]
