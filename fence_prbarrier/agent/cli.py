"""The process's edge: reads stdin and argv, prints, and exits.

Nothing else in the package does.  Exit codes: 0 done, on or healthy; 2 only
for ``status`` of a node that is off; 1 everything else.
"""

from __future__ import annotations

import os
import sys
import time

from ..barrier.drain import check_policy, wait_seconds
from ..cluster import build_cluster, local_host_name
from ..errors import MAX_QUOTED, BarrierError, InvalidInput, in_words
from .log import ERROR, INFO, WARNING, Log, put, say
from .parameters import (
    ACTIONS_BY_NAME,
    BOOLEAN,
    BY_NAME,
    PARAMETERS,
    Options,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..supervisor import Answer, Pipe
    from .task import Task

MAX_STDIN_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 16
# The worker gives up before the supervisor does, so that it can still say why.
WORKER_MARGIN_SECONDS = 1.0
WORKER_MARGIN_SHARE = 0.05
# How long a reader of stdout may take for what a pipe takes at once; a pager has it all by then.
OUTPUT_SECONDS = 5.0
QUOTES = "\"'"
# Instance attributes of Pacemaker's own that no agent asked for.
SENT_BY_PACEMAKER = ("nodeid",)


def main(argv: list[str] | None = None) -> int:
    """Run one action; the process's exit code."""
    try:
        fill_standard_descriptors()
        return _run(sys.argv[1:] if argv is None else argv)
    except BarrierError as error:
        say(f"fence_prbarrier: {error}")
    except KeyboardInterrupt:
        say("fence_prbarrier: interrupted; whether the action is done is not known")
    except Exception as error:
        say(f"fence_prbarrier: {in_words(error)}")
    return 1


def script() -> None:
    """Run one action and end the process.

    All output is flushed by then, so the interpreter is not taken down module
    by module: after a fork, with its pages to be copied, that takes long.
    """
    os._exit(main())


def _run(arguments: list[str]) -> int:
    values, unknown = read_arguments(arguments) if arguments else read_stdin()
    options = Options(values)
    if options.flag("help") or options.flag("version"):
        return print_lines(_help(options))
    log = Log(options)
    for name in unknown:
        log.hear(WARNING, f"unknown parameter {name[:60]!r} is ignored")
    action = options["action"]
    if action in ("metadata", "manpage"):
        return print_lines(_describe(action))
    try:
        if ACTIONS_BY_NAME[action].people:
            _refuse_machines(action, values)
        answer = _act(action, options, log)
    except BarrierError as error:
        log.hear(ERROR, f"{action} failed: {error}")
        return 1
    for text in answer.err:
        log.hear(ERROR, text)
    for text in answer.out:
        if action in ("on", "off"):
            log.hear(INFO, f"{action} {options['plug'] or options['nodename']}: {text}")
    print_lines(answer.out)
    return answer.code


def _act(action: str, options: Options, log: Log) -> Answer:
    """Settle what needs no device, then let a worker do the rest."""
    from ..supervisor import Answer, supervise

    cluster = build_cluster(options["cluster_name"], options["cluster_tag"], options["nodes"])
    if action == "list":
        mark = options["separator"]
        lines = [f"{name}{mark}{number}" for name, number in cluster.numbers.items()]
        return Answer(0, lines, [])
    from .actions import perform
    from .task import Task

    plug = options["plug"] or options["port"] or options["nodename"]
    if ACTIONS_BY_NAME[action].plug and not plug:
        raise InvalidInput(f"no node: give it in plug (-n), expected {cluster.known()}")
    if action == "off":
        time.sleep(options.number("delay"))
    seconds = _seconds(action, options)
    deadline = time.monotonic() + seconds
    local_name = options["local_name"] or local_host_name()
    task = Task(action, options, cluster, local_name, plug, deadline - margin(seconds))
    if action == "clear":
        return _clear(task, seconds, log)

    def work(pipe: Pipe) -> Answer:
        return perform(task, pipe, log.details)

    answer = supervise(work, deadline, log.hear)
    if action in ("on", "off") and answer.code == 0:
        time.sleep(options.number("power_wait"))
    return answer


def _refuse_machines(action: str, values: dict[str, str]) -> None:
    """InvalidInput where a cluster manager calls, or a script with an empty variable."""
    if "nodename" in values:
        raise InvalidInput(
            f"nodename is given, as Pacemaker does: {action} is for people; no cluster manager may"
            " send it; a person names a node in plug"
        )
    for name in ("plug", "port"):
        if values.get(name) == "":
            raise InvalidInput(f"{name} is empty: name the node, or leave {name} out to mean all")


def _clear(task: Task, seconds: float, log: Log) -> Answer:
    """Show, ask, remove: show and remove each in a worker, with the action's time for each."""
    from ..supervisor import supervise
    from . import clearing

    def supervised(work: Callable[[Pipe], Answer]) -> Answer:
        deadline = time.monotonic() + seconds
        task.deadline = deadline - margin(seconds)
        return supervise(work, deadline, log.hear)

    answer = supervised(lambda pipe: clearing.show(task, pipe, log.details))
    if answer.code != clearing.SHOWN:
        return answer
    print_lines(answer.out)
    if not task.options.flag("confirm"):
        _ask()
    return supervised(lambda pipe: clearing.remove(task, pipe, log.details, answer.out))


def _ask() -> None:
    """Return if the person at the terminal types "yes", or raise InvalidInput."""
    terminals = [stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)]
    if not all(terminals):
        raise InvalidInput("nothing removed: no terminal to ask at; say confirm=1 (--confirm)")
    try:
        sys.stdout.write("Type yes to remove this: ")
        sys.stdout.flush()
        answer = sys.stdin.readline()
    except (KeyboardInterrupt, UnicodeDecodeError):
        answer = ""
    if answer.strip() != "yes":
        sys.stdout.write("\n" if not answer.endswith("\n") else "")
        raise InvalidInput("nothing removed: the answer was not yes")


def margin(seconds: float) -> float:
    """How many seconds before the supervisor the worker gives up."""
    return min(WORKER_MARGIN_SECONDS, seconds * WORKER_MARGIN_SHARE)


def _seconds(action: str, options: Options) -> int:
    """The action's time limit; InvalidInput where its drain policy could never end in it."""
    seconds = options.number("power_timeout")
    _check_drain(options["drain"], seconds)
    own = {"off": "power_timeout", "on": "on_timeout", "clear": "power_timeout"}
    return min(seconds, options.number(own.get(action, "monitor_timeout")))


def _check_drain(policy: str, power_timeout_seconds: int) -> None:
    """A policy that could never end in time is an error before anything is sent."""
    check_policy(policy)
    if wait_seconds(policy) >= power_timeout_seconds:
        raise InvalidInput(
            f"drain={policy} does not fit power_timeout={power_timeout_seconds}: set power_timeout"
            " well above the wait"
        )


def read_arguments(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Short and long options, as getopt(3) understands them; nothing is unknown there."""
    from getopt import GetoptError, gnu_getopt

    flags = [parameter for parameter in PARAMETERS if parameter.kind == BOOLEAN]
    others = [parameter for parameter in PARAMETERS if parameter.kind != BOOLEAN]
    short = "".join(parameter.short for parameter in flags)
    short += "".join(parameter.short + ":" for parameter in others if parameter.short)
    long = [parameter.long for parameter in flags]
    long += [parameter.long + "=" for parameter in others]
    try:
        found, rest = gnu_getopt(arguments, short, long)
    except GetoptError as error:
        said = error.msg.replace(error.opt, error.opt[:MAX_QUOTED])
        raise InvalidInput(f"{said}; see --help") from None
    if rest:
        raise InvalidInput(f"{rest[0][:60]!r} is not an option; see --help")
    names = {f"-{parameter.short}": parameter.name for parameter in PARAMETERS}
    names.update({f"--{parameter.long}": parameter.name for parameter in PARAMETERS})
    values = {}
    for option, value in found:
        name = names[option]
        values[name] = "1" if BY_NAME[name].kind == BOOLEAN else checked_text(value, name)
    return values, []


def checked_text(value: str, name: str) -> str:
    """A value of a command line or environment; bytes that are no UTF-8 came in as surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{name}: the value is not UTF-8 text") from None
    return value


def read_stdin() -> tuple[dict[str, str], list[str]]:
    """``key=value`` lines; (values by name, names that are unknown).  The last one wins."""
    if sys.stdin is not None and sys.stdin.isatty():
        raise InvalidInput("no options: give them as arguments (see --help) or on stdin")
    return parse_stdin(_read_all(0))


def _read_all(descriptor: int) -> bytes:
    data = b""
    while len(data) <= MAX_STDIN_BYTES:
        try:
            chunk = os.read(descriptor, MAX_STDIN_BYTES)
        except OSError as error:
            raise InvalidInput(f"standard input: {error.strerror}") from None
        if not chunk:
            return data
        data += chunk
    raise InvalidInput(
        f"standard input: more than {MAX_STDIN_BYTES} bytes; expected key=value lines"
    )


def parse_stdin(data: bytes) -> tuple[dict[str, str], list[str]]:
    """See read_stdin()."""
    values: dict[str, str] = {}
    unknown = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        where = f"standard input, line {number}"
        if len(raw) > MAX_LINE_BYTES:
            raise InvalidInput(f"{where}: longer than {MAX_LINE_BYTES} bytes")
        try:
            line = raw.decode().strip()
        except UnicodeDecodeError:
            raise InvalidInput(f"{where}: not UTF-8 text") from None
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name:
            raise InvalidInput(f"{where}: expected key=value, got {line[:40]!r}")
        if "\0" in line:
            raise InvalidInput(f"{where}: a NUL byte")
        if len(value) > 1 and value[0] == value[-1] and value[0] in QUOTES:
            value = value[1:-1]
        if name in BY_NAME:
            values[name] = value
        elif name not in SENT_BY_PACEMAKER:
            unknown.append(name)
    return values, unknown


def _help(options: Options) -> list[str]:
    from .manual import usage, version

    return usage() if options.flag("help") else version()


def _describe(action: str) -> list[str]:
    if action == "manpage":
        from .manual import manual_page

        return manual_page()
    from .metadata import metadata

    return [metadata().rstrip("\n")]


def fill_standard_descriptors() -> None:
    """Give 0, 1 and 2 something to be: a pipe to the worker must not become one of them."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            return


def print_lines(lines: list[str]) -> int:
    """Lines on stdout.  Output that is lost is a failure: somebody was to read it."""
    if not lines:
        return 0
    if sys.stdout is None:
        raise InvalidInput("standard output is closed: the answer cannot be told")
    try:
        # As UTF-8 whatever the locale: names of nodes need not be ASCII.
        text = "".join(line + "\n" for line in lines)
        put(sys.stdout, text.encode("utf-8", "surrogateescape"), OUTPUT_SECONDS)
    except OSError:
        sys.stdout = None  # else Python tries again at its end, and exits with 120
        raise
    return 0
