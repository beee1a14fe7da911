"""Disturbs an action at one of its steps, then looks at what is left: said, done, remembered.

A step is a system call by which the agent or its worker touches the world
outside: files, LUs, pipes, processes, threads, the clock.  What the interpreter
does to load itself is counted apart.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from fence_prbarrier.barrier.memory import Memory

from .scene import Act, Scene
from .trap import PATH_AT, Ended, Step, Trap, has_ended

SIGNAL_CALLS = (
    "openat", "open", "write", "pwrite64", "rename", "unlink", "mkdir", "flock", "fsync",
    "ftruncate", "pipe2", "clone", "clone3", "fork", "vfork", "select", "pselect6", "dup2", "dup3",
    "connect", "sendto", "exit_group", "wait4", "kill", "clock_nanosleep", "nanosleep",
)  # fmt: skip
ERROR_CALLS = (
    *SIGNAL_CALLS, "read", "pread64", "stat", "lstat", "fstat", "newfstatat", "getdents64",
    "socket", "close",
)  # fmt: skip
# Files of the system, of the interpreter and of the package: loading, not acting.
ROOT = Path(__file__).resolve().parents[2]
BORING = (
    sys.prefix, sys.base_prefix, "/usr/", "/lib", "/etc/ld.so", "/etc/localtime", "/proc/",
    str(ROOT / "fence_prbarrier"), str(ROOT / "ocf"),
)  # fmt: skip
# A stopped process goes on after so long.
PAUSE_SECONDS = 0.02

TARGETS = ("agent", "worker", "both")
KILL, TERM, STOP = signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP


class Finding(NamedTuple):
    """Something that was found wrong, and where."""

    act: str
    disturbance: str
    step: str
    complaint: str

    def __str__(self) -> str:
        return f"{self.act} | {self.disturbance} before {self.step}: {self.complaint}"


class Case(NamedTuple):
    """One disturbed run: how it ended and at which step it was hit, None if it came to no hit."""

    ended: Ended
    earlier: list[Step]
    step: Step | None
    later: list[Step]


def counts(call: str, what: str, other: str) -> bool:
    """Whether a call touches the world outside; what a command does to a LU's file is one call."""
    name = os.path.basename(what)
    if not counts_all(call, what, other) or name.startswith("run-"):
        return False
    if not name.startswith("lu"):
        return True
    return (call in ("openat", "open") and "." not in name) or call == "rename"


def counts_all(call: str, what: str, other: str) -> bool:
    """For errors: the parts of a transaction of a simulated LU too."""
    if call in PATH_AT and not what:
        return False
    return not what.startswith(BORING) and what not in ("/", str(ROOT), str(ROOT.parent))


def is_of_memory(step: Step) -> bool:
    """Whether it is about n1's state_dir: few of the steps, and those that matter most."""
    return "state-n1" in step.what


def disturb(
    scene: Scene, act: Act, trap: Trap, at: int, disturbance: Callable[[Step], int | None]
) -> Case:
    """Run an action and disturb it once, at step ``at``."""
    scene.restore(act.situation)
    earlier: list[Step] = []
    hit: list[Step] = []
    later: list[Step] = []

    def word(step: Step) -> int | None:
        if hit:
            later.append(step)
            return None
        if step.number < at:
            earlier.append(step)
            return None
        hit.append(step)
        return disturbance(step)

    words, environment = act.call(scene)
    ended = trap.run(words, environment, scene.folder, word)
    return Case(ended, earlier, hit[0] if hit else None, later)


def steps_of(scene: Scene, act: Act, trap: Trap) -> tuple[list[Step], Ended]:
    """The steps of the undisturbed action, and how it ends."""
    scene.restore(act.situation)
    steps: list[Step] = []
    words, environment = act.call(scene)

    def word(step: Step) -> None:
        steps.append(step)

    return steps, trap.run(words, environment, scene.folder, word)


# -- signals ------------------------------------------------------------------------------------


def send(sent: int, target: str, interlude: Callable[[], None] | None = None):  # type: ignore[no-untyped-def]
    """A disturbance: a signal to the agent, its worker or both; what is stopped goes on later."""

    def disturbance(step: Step) -> None:
        session = os.getsid(step.process)
        worker = step.process if step.child else _worker_of(session)
        targets = {"agent": [session], "worker": [worker], "both": [session, worker]}[target]
        targets = [each for each in targets if each]
        _signal(targets, sent)
        if sent == STOP:
            if interlude is not None:
                interlude()
            else:
                time.sleep(PAUSE_SECONDS)
            _signal(targets, signal.SIGCONT)

    return disturbance


def _signal(targets: list[int], sent: int) -> None:
    for each in targets:
        try:
            os.kill(each, sent)
        except ProcessLookupError:
            pass


def _worker_of(agent: int) -> int:
    """The agent's child that is at work, 0 if there is none."""
    try:
        with open(f"/proc/{agent}/task/{agent}/children", encoding="ascii") as file:
            children = [int(word) for word in file.read().split()]
    except OSError:
        return 0
    return next((child for child in children if not has_ended(child)), 0)


# -- what is left -------------------------------------------------------------------------------


def complaints(scene: Scene, act: Act, case: Case, by_signal: int = 0) -> Iterator[str]:
    """Everything that is wrong after a disturbed run."""
    ended = case.ended
    if not ended.alone:
        yield "a process of it went on and on"
    yield from act.falsehoods(scene, ended)
    yield from _words(act, ended, by_signal)
    scene.keep("after")
    if act.joins:
        yield from _is_remembered(scene, act)
        scene.restore("after")
    yield from _again(scene, act)


def _words(act: Act, ended: Ended, by_signal: int) -> Iterator[str]:
    """How a failure is told."""
    if '\n  File "/' in ended.err + ended.out:
        # Of a file's code: what the interpreter cannot do before it runs any is its own.
        yield f"a traceback: {ended.err[-300:]}"
    elif "internal error" in ended.err + ended.out:
        yield f"not a clear error: {ended.err + ended.out}"
    if ended.code < 0 and -ended.code != by_signal:
        yield f"ended by signal {-ended.code}"
    told = ended.out if act.face == "watchdog" else ended.err
    if ended.code > 0 and ended.code not in (act.code, 2) and not told:
        yield f"exit {ended.code} without a word"


def _again(scene: Scene, act: Act) -> Iterator[str]:
    """The same action does its work, and cleans up after the one before."""
    again = act.run(scene)
    if again.code not in act.codes_again:
        yield f"run again: {again}"
    yield from (f"run again: {each}" for each in act.falsehoods(scene, again))
    if scene.strays():
        yield f"left over: {scene.strays()}"


def _is_remembered(scene: Scene, act: Act) -> Iterator[str]:
    """Evicted by n2, this boot gets in again only if it had joined nowhere (rule 4)."""
    memory = scene.memory()
    if memory is None:
        yield "the memory is broken"
        return
    yield from _is_forgotten(scene, act, memory)
    lives = scene.lives(1)
    off = scene.do("n2", "off", "n1")
    if off.code:
        yield f"n2 cannot evict: {off}"
        return
    on = scene.do("n1", "on", "n1")
    if memory.joined:
        if on.code != 1 or any(scene.all_keys("n1")):
            yield f"evicted, and in again: {on}"
        return
    if on.code:
        yield f"has joined nowhere, and may not join: {on}"
    if lives & scene.lives(1) or max(lives, default=0) > max(scene.lives(1), default=0):
        yield f"a life that was evicted came back: {lives & scene.lives(1)}"


def _is_forgotten(scene: Scene, act: Act, memory: Memory) -> Iterator[str]:
    """What was remembered before is so still, and what is registered was remembered first."""
    before = scene.remembered[act.situation]
    if before is not None and before.key is not None:
        if memory.key is None or memory.key < before.key:
            yield f"{before.key} is forgotten, {memory.key} is remembered"
        if ("rejoin", "allow") not in act.options and not set(before.joined) <= set(memory.joined):
            yield "a LU that was joined is forgotten"
    lives = scene.lives(1)
    if any(memory.key is None or life > memory.key for life in lives):
        yield f"registered before it was remembered: {lives}, {memory.key}"
