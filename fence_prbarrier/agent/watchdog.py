"""The check for a watchdog daemon: has this node been evicted since it joined in this boot?

Called from /etc/watchdog.d as ``test``, and as ``repair CODE`` after a test
that failed (watchdog(8), TEST DIRECTORY).  It needs no configuration: this
boot's memory names the LUs, and the devices that led to them.

Only an eviction that was seen is one.  A LU that cannot be read says nothing,
and a reboot would not mend it.
"""

from __future__ import annotations

import os
import sys
import time

from ..barrier.everywhere import inspect_everywhere
from ..cluster import local_host_name
from ..discovery import survey
from ..dispatcher import Dispatcher, Limits
from ..errors import BarrierError, in_words
from ..files import StateDirectory
from ..state import Store
from ..supervisor import Answer, supervise
from .cli import fill_standard_descriptors, margin, print_lines
from .log import ERROR, Log
from .parameters import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..barrier.inspect import Snapshot
    from ..barrier.memory import Memory
    from ..key import Key
    from ..supervisor import Pipe

# watchdog(8): EREBOOT, reboot at once, without waiting whether the test fails again.
EVICTED = 255
NOT_EVICTED = 0
USAGE = 1
# Well below the watchdog daemon's own limit, test-timeout, of 60 s.
SECONDS = 20.0
COMMAND_SECONDS = 5.0
NAME_LENGTH = len("TTTT-NNNN")
NOT_KNOWN = "not known whether this node is evicted"


def script(state_dir: str) -> None:
    """Run one check and end the process; see cli.script()."""
    os._exit(main(sys.argv[1:], state_dir))


def main(arguments: list[str], state_dir: str) -> int:
    """``test`` or ``repair CODE``; both look, and neither changes anything."""
    if arguments[:1] not in (["test"], ["repair"]):
        _tell(["usage: prbarrier test | repair CODE"])
        return USAGE
    try:
        fill_standard_descriptors()
        answer = _check(state_dir)
    except BarrierError as error:
        answer = Answer(NOT_EVICTED, [], [_not_known(error)])
    except Exception as error:
        # The daemon reboots for any other exit code, and a defect is no reason to.
        answer = Answer(NOT_EVICTED, [], [f"{NOT_KNOWN}: {in_words(error)}"])
    _tell(answer.out + answer.err)
    if answer.code == EVICTED:
        log = Log(Options({}), "prbarrier-watchdog")
        for line in answer.out:
            log.to_syslog(ERROR, line)
        return EVICTED
    return NOT_EVICTED


def _tell(lines: list[str]) -> None:
    """On stdout, which the watchdog daemon logs; a full log is no reason to reboot, or not to."""
    try:
        print_lines(lines)
    except (BarrierError, OSError):
        pass  # the exit code tells


def _not_known(error: BarrierError) -> str:
    return f"{NOT_KNOWN}: {error}"


def _check(state_dir: str) -> Answer:
    memories, troubles = _memories(state_dir)
    if not memories:
        return Answer(NOT_EVICTED, [], troubles)
    deadline = time.monotonic() + SECONDS

    def work(pipe: Pipe) -> Answer:
        limits = Limits(deadline - margin(SECONDS), COMMAND_SECONDS)
        lines = list(troubles)
        evicted = False
        for memory in memories:
            dispatcher = Dispatcher(limits, pipe.report, details=False)
            try:
                found = _look(memory, dispatcher, lines)
                evicted = evicted or found
            finally:
                dispatcher.close()
        return Answer(EVICTED if evicted else NOT_EVICTED, lines, [])

    return supervise(work, deadline, lambda kind, text: None)


def _memories(state_dir: str) -> tuple[list[Memory], list[str]]:
    """Every node number and cluster that this boot has joined as, one as a rule; what is broken."""
    found, troubles = [], []
    for name in StateDirectory(state_dir).names():
        tag, _, node = name.partition("-")
        if len(name) != NAME_LENGTH or not (_is_hex(tag) and _is_hex(node)):
            continue  # a lock, a marker, a file half written
        try:
            memory = Store(state_dir, int(tag, 16), int(node, 16)).load()
        except BarrierError as error:
            troubles.append(_not_known(error))
            continue
        if memory.key is not None and memory.joined:
            found.append(memory)
    return found, troubles


def _is_hex(text: str) -> bool:
    return len(text) == 4 and all(character in "0123456789abcdef" for character in text)


def _is_ours(found: Snapshot, own: Key) -> bool:
    """This cluster's reservation stands, as after every eviction that succeeded."""
    held = found.reservation
    return held is not None and held.key is not None and held.key.tag == own.tag


def _look(memory: Memory, dispatcher: Dispatcher, lines: list[str]) -> bool:
    """Whether any LU shows this life evicted; what there is to say goes into ``lines``."""
    own = memory.require_key()
    listed = {name: lu for name, lu in memory.joined.items() if lu.listed}
    devices = {device: name for name, lu in listed.items() for _, device in lu.paths}
    units, troubles = survey(
        dispatcher, list(devices), local_host_name(), models=False, remembered=lambda: devices
    )
    looks = dispatcher.run(inspect_everywhere(units), alone=False)
    evicted = False
    for unit in units:
        found = looks[unit.name]
        if isinstance(found, BarrierError):
            found.where = f"LU {unit.label}"
            troubles.append(found)
        elif unit.name in listed and not found.count(own):
            if _is_ours(found, own):
                lines.append(f"LU {unit.label}: this node's key {own} is gone: it has been evicted")
                evicted = True
            else:
                lines.append(
                    f"LU {unit.label}: this node's key {own} is gone, and so is this cluster's"
                    " reservation: the LU was cleared or has lost its state; not an eviction"
                )
    lines += [_not_known(trouble) for trouble in troubles]
    there = {unit.name for unit in units}
    for name in sorted(set(listed) - there):
        lines.append(f"LU {name}: not known whether this node is evicted: no name leads to it")
    return evicted
