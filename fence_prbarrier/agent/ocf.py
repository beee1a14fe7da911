"""The OCF resource agent: this node's own barrier, as a resource that others depend on.

It fences nobody.  Run as a clone it tells the cluster manager what the stonith
resource cannot: that *this* node is evicted, or has lost a path.
Environment and exit codes are those of the OCF resource agent API 1.0.
"""

from __future__ import annotations

import os
import sys
import time
from binascii import crc32

from ..barrier import rules
from ..barrier.everywhere import inspect_everywhere, known_count
from ..barrier.join import in_place
from ..cluster import build_cluster, local_host_name
from ..errors import (
    BarrierBroken,
    BarrierError,
    InvalidInput,
    JoinUnderWay,
    MemoryFault,
    NotMember,
    Several,
    in_words,
    raise_all,
)
from ..state import Marker
from ..supervisor import Answer, supervise
from . import sight
from .actions import validate
from .cli import checked_text, fill_standard_descriptors, margin, print_lines
from .log import ERROR, WARNING, Log, say
from .parameters import OCF_ACTIONS, OCF_PARAMETERS, Options
from .task import TURN_SECONDS, Task, carry_out, join, survey, tell_oddities, tell_unread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..barrier.inspect import Snapshot
    from ..barrier.memory import Memory
    from ..barrier.unit import Unit
    from ..dispatcher import Dispatcher
    from ..supervisor import Pipe

# Exit codes (OCF resource agent API 1.0; DEGRADED is Pacemaker's).
SUCCESS = 0
ERR_GENERIC = 1
ERR_ARGS = 2
ERR_UNIMPLEMENTED = 3
# A hard error in Pacemaker: the resource may not run on this node until it has
# rebooted, or an operator has cleaned up.  Here it means evicted, and only that.
ERR_PERM = EVICTED = 4
ERR_CONFIGURED = 6
NOT_RUNNING = 7
DEGRADED = 190

ENVIRONMENT_PREFIX = "OCF_RESKEY_"
# Pacemaker tells its own limit for the action, in milliseconds.
TIMEOUT_VARIABLE = "OCF_RESKEY_CRM_meta_timeout"
MAX_TIMEOUT_DIGITS = 9
TIMEOUT_MARGIN_SECONDS = 2.0
LEAST_SECONDS = 1.0
MAX_INSTANCE_LENGTH = 64


def script() -> None:
    """Run one action and end the process; see cli.script()."""
    os._exit(main(sys.argv[1:], os.environ))


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run one action; the process's exit code."""
    try:
        fill_standard_descriptors()
        return _run(arguments, environment)
    except BarrierError as error:
        return _fail(ERR_GENERIC, str(error))
    except KeyboardInterrupt:
        return _fail(ERR_GENERIC, "interrupted")
    except Exception as error:
        return _fail(ERR_GENERIC, in_words(error))


def _fail(code: int, text: str) -> int:
    """A line that Pacemaker shows beside the failed action."""
    say(f"ocf-exit-reason:{text}")
    return code


def _run(arguments: list[str], environment: Mapping[str, str]) -> int:
    action = arguments[0] if len(arguments) == 1 else ""
    if action in ("meta-data", "metadata"):
        from .metadata import resource_metadata

        return print_lines([resource_metadata().rstrip("\n")])
    if action in ("usage", "help"):
        return print_lines([f"usage: prbarrier {{{'|'.join(OCF_ACTIONS)}}}"])
    if action not in OCF_ACTIONS:
        return _fail(ERR_UNIMPLEMENTED, f"expected one of {', '.join(OCF_ACTIONS)}")
    # A stop is not to fail for what it does not need.
    names = ("state_dir",) if action == "stop" else OCF_PARAMETERS
    try:
        options, marker = settle(names, environment)
    except InvalidInput as error:
        # What is so configured never started.
        return SUCCESS if action == "stop" else _fail(ERR_CONFIGURED, str(error))
    if action == "stop":
        # Registrations stay (rule 7): the disks stay protected while the cluster is down.
        marker.remove()
        return SUCCESS
    if action == "monitor" and not marker.is_there():
        return NOT_RUNNING
    answer = _act(action, options, environment)
    if action == "start" and answer.code == SUCCESS:
        marker.put()
    for text in answer.err[1:]:
        say(text)
    return _fail(answer.code, answer.err[0]) if answer.err else answer.code


def settle(names: tuple[str, ...], environment: Mapping[str, str]) -> tuple[Options, Marker]:
    """These parameters, checked, and the mark that the resource was started; or InvalidInput."""
    values = {name: environment.get(ENVIRONMENT_PREFIX + name, "") for name in names}
    options = Options({name: checked_text(value, name) for name, value in values.items()})
    return options, Marker(options["state_dir"], "running-" + _instance(environment))


def _instance(environment: Mapping[str, str]) -> str:
    """The resource's name without its clone number, fit for a file's name."""
    name = environment.get("OCF_RESOURCE_INSTANCE", "").partition(":")[0] or "prbarrier"
    plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    if plain and len(name) <= MAX_INSTANCE_LENGTH:
        return name
    raw = name.encode("utf-8", "surrogateescape")
    # With a character that no plain name has: two names never share a file.
    return f"{raw.hex()[: 2 * MAX_INSTANCE_LENGTH]}.{crc32(raw):08x}"


def _act(action: str, options: Options, environment: Mapping[str, str]) -> Answer:
    """start, monitor or validate-all, in a worker that cannot hold us up."""
    log = Log(options, "prbarrier")
    seconds = _seconds(action, options, environment)
    deadline = time.monotonic() + seconds
    try:
        cluster = build_cluster(options["cluster_name"], options["cluster_tag"], options["nodes"])
        local_name = options["local_name"] or local_host_name()
        worker_deadline = deadline - margin(seconds)
        task = Task(action, options, cluster, local_name, local_name, worker_deadline)
        cluster.local_number(local_name)
    except InvalidInput as error:
        return _answer_of(error)
    performer = {"start": _start, "monitor": _monitor, "validate-all": validate}[action]

    def work(pipe: Pipe) -> Answer:
        return carry_out(task, pipe, performer, _answer_of, log.details)

    answer = supervise(work, deadline, log.hear)
    if action == "monitor" and answer.code == ERR_ARGS:
        # A file that is being rewritten must not ban the resource from this node.
        answer.code = ERR_GENERIC
    for text in answer.err[-1:]:
        log.to_syslog(ERROR, f"{action}: {text}")
    return answer


def _seconds(action: str, options: Options, environment: Mapping[str, str]) -> float:
    """Pacemaker's limit less a margin; without Pacemaker the agent's own."""
    told = environment.get(TIMEOUT_VARIABLE, "")
    if told.isascii() and told.isdigit() and len(told) <= MAX_TIMEOUT_DIGITS and int(told):
        return max(int(told) / 1000 - TIMEOUT_MARGIN_SECONDS, LEAST_SECONDS)
    return float(options.number("on_timeout" if action == "start" else "monitor_timeout"))


def _answer_of(error: BarrierError) -> Answer:
    """The exit code by who must act.  Evicted once is evicted, whatever else there is.

    Two lines: the reason that Pacemaker shows, of which it keeps 128 characters,
    and the whole text.
    """
    every = error.errors if isinstance(error, Several) else (error,)
    code, reason = ERR_GENERIC, _reason(every[0], every[0].what)
    if all(isinstance(each, InvalidInput) for each in every):
        code = ERR_ARGS
    for each in every:
        if isinstance(each, NotMember):
            code, reason = EVICTED, _reason(each, "evicted: reboot this node")
            break
    return Answer(code, [], [reason] if reason == str(error) else [reason, str(error)])


def _reason(error: BarrierError, text: str) -> str:
    """The text first, then the place without the names of its paths."""
    place = error.where.partition(" (")[0]
    return f"{text} ({place})" if place else text


def _start(task: Task, dispatcher: Dispatcher) -> Answer:
    """This node's key on every path of every LU and the barrier up, by joining where it is not."""
    # The look first: an eviction is told whatever else there is.
    units, _ = _look(task, dispatcher, task.store().load())
    join(task, dispatcher, units, task.store(), TURN_SECONDS)
    return Answer(SUCCESS, [], [])


def _monitor(task: Task, dispatcher: Dispatcher) -> Answer:
    """The same, found so; a path or LU that is new or back is joined with the same key."""
    memory = task.store().load()
    if memory.key is None:
        raise MemoryFault("started, but this boot has no key: state_dir was cleared; run start")
    earlier = sight.load(task, dispatcher)
    units, looks = _look(task, dispatcher, memory)
    _repair(task, dispatcher, units, memory, looks)
    returned = sight.tell_returned(task, earlier, units, looks, dispatcher)
    sight.note(task, dispatcher, memory.key, earlier, looks)
    lost = any(unit.lost or looks[unit.name].unread for unit in units)
    return Answer(DEGRADED if lost or returned else SUCCESS, [], [])


def _look(
    task: Task, dispatcher: Dispatcher, memory: Memory
) -> tuple[list[Unit], Mapping[str, Snapshot]]:
    """Every LU and what it shows; raises what no joining can mend, of all LUs together."""
    units, troubles = survey(task, dispatcher)
    looks = dispatcher.run(inspect_everywhere(units), alone=False)
    good = {}
    for unit in units:
        found = looks[unit.name]
        try:
            if isinstance(found, BarrierError):
                raise found
            _check(unit, found, memory)
            tell_unread(unit, found.unread, dispatcher)
            tell_oddities(unit, found, task.cluster, dispatcher)
            good[unit.name] = found
        except BarrierError as error:
            error.where = f"LU {unit.label}"
            troubles.append(error)
    raise_all(troubles)
    return units, good


def _check(unit: Unit, found: Snapshot, memory: Memory) -> None:
    """What no joining can mend."""
    standing = memory.joined.get(unit.name)
    if standing is None or (found.bare and not standing.listed):
        # New in the list, or back on it and cleared meanwhile: to be joined.
        rules.refuse_foreign_property(found, memory.tag)
        return
    if not standing.listed and not found.count(memory.require_key()):
        raise BarrierBroken(
            "the LU is back on the list and has lost this node's key since it was taken off; run on"
            " with rejoin=allow, or reboot"
        )
    if found.bare:
        # Not mended here: whoever registers first makes all others look evicted.
        raise BarrierBroken(
            "the LU has lost every registration and its reservation, so anybody may write; stop"
            " what uses it, then run on with rejoin=allow on every node"
        )
    # First of all: whose the LU is now changes nothing for who was evicted.
    rules.require_member(found, memory.require_key())
    rules.refuse_foreign_property(found, memory.tag)


def _repair(
    task: Task,
    dispatcher: Dispatcher,
    units: list[Unit],
    memory: Memory,
    looks: Mapping[str, Snapshot],
) -> None:
    """Join where a look did not show all in place."""
    own = memory.require_key()
    weak = [
        unit
        for unit in units
        if not in_place(
            looks[unit.name], own, known_count(unit, memory), unit.route(looks[unit.name])
        )
    ]
    if not weak and memory.lists(unit.name for unit in units):
        return
    try:
        done = join(task, dispatcher, units, task.store(), turn_seconds=0)
    except JoinUnderWay as error:
        if any(looks[unit.name].reservation is None for unit in weak):
            raise  # not a missing path only: the barrier is down
        dispatcher.report(WARNING, f"not repaired this time: {error}")
        return
    for unit in weak:
        if unit.name in memory.joined and looks[unit.name].reservation is None:
            dispatcher.report(
                WARNING, f"LU {unit.label}: no reservation stood, so anybody could write until now"
            )
        if done[unit.name].changed:
            paths = f"{unit.paths} path{'s' if unit.paths > 1 else ''}"
            dispatcher.report(WARNING, f"LU {unit.label}: repaired, registered on {paths}")
