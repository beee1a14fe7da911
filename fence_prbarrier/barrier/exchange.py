"""How a procedure talks to a LU: requests, paths, and bounded retries."""

from __future__ import annotations

from ..errors import CommandFailed, ProtocolError, Truncated
from ..scsi import outcome as verdicts
from ..scsi import spc
from ..scsi.command import Pause
from ..scsi.outcome import Outcome
from .nexus import bearing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from typing import TypeVar, Union

    from ..key import Key
    from ..scsi.command import Command, LogicalUnitReset
    from .inspect import Snapshot
    from .nexus import NexusName

    Action = Union[Command, LogicalUnitReset, "Pause"]
    T = TypeVar("T")
    Procedure = Generator["Request", "Outcome", T]

# A nexus queues at most a few kinds of unit attention (SAM-5 5.14); each costs one command.
MAX_ATTENTIONS = 8
# An array that is busy with a concurrent registration may say so for seconds.
MAX_BUSY = 20
BUSY_PAUSE_SECONDS = 0.25
# A read whose reply was lost is sent once more on the same path before another is tried.
MAX_READ_TRIES_PER_PATH = 2
MAX_REREADS_LARGER = 4
NO_PATH = "no usable path to the LU"


class Request:
    """One command for one path; ``path`` is an index into the LU's usable paths."""

    __slots__ = ("path", "action")

    def __init__(self, path: int, action: Action) -> None:
        self.path = path
        self.action = action


class Route:
    """Which of a LU's ``paths`` may be used, by index, and which of them is in use.

    ``names`` are the nexuses of all the LU's paths as a target names them, None
    where that is not known.
    """

    __slots__ = ("paths", "names", "current")

    def __init__(self, paths: int, names: Sequence[NexusName | None] = ()) -> None:
        self.paths: tuple[int, ...] = ()
        self.names = tuple(names) or (None,) * paths
        self._use(range(paths))

    def _use(self, paths: Iterable[int]) -> None:
        self.paths = tuple(paths)
        if not self.paths:
            raise CommandFailed(NO_PATH)
        self.current = self.paths[0]

    @classmethod
    def only(cls, path: int) -> Route:
        """This path and no other."""
        return cls(path + 1).without(range(path))

    def without(self, paths: Iterable[int]) -> Route:
        """The same, but for these paths."""
        route = Route(len(self.names), self.names)
        route._use(path for path in self.paths if path not in paths)
        return route

    def advance(self) -> None:
        """Move on to the next path, if there is another."""
        position = self.paths.index(self.current) + 1
        self.current = self.paths[position % len(self.paths)]

    def prefer(self, snapshot: Snapshot, key: Key) -> None:
        """Begin with a path whose nexus bears ``key``, if that is told of one."""
        for path, bears in enumerate(bearing(snapshot, key, self.names)):
            if bears and path in self.paths:
                self.current = path
                break


def send(path: int, action: Action) -> Procedure[Outcome]:
    """Send it; send it again after a unit attention or BUSY, within limits.

    Both say that the command was not executed (SAM-5 5.3.1, 5.14), so sending
    it again is safe for every command.  PREEMPTED and UNKNOWN go to the caller.
    """
    attentions = busy = 0
    while True:
        outcome = yield Request(path, action)
        if outcome.verdict == verdicts.ATTENTION and attentions < MAX_ATTENTIONS:
            attentions += 1
        elif outcome.verdict == verdicts.BUSY and busy < MAX_BUSY:
            busy += 1
            yield Request(path, Pause(BUSY_PAUSE_SECONDS))
        else:
            return outcome


def read(route: Route, action: Command) -> Procedure[Outcome]:
    """Send a command that changes nothing, on another path too if one fails.

    "Reservations preempted" answers a read by itself: reading on is what it
    asks for, and the caller looks for its own key in what it reads.
    """
    attentions = lost = 0
    while True:
        outcome = yield from send(route.current, action)
        if outcome.verdict == verdicts.PREEMPTED and attentions < MAX_ATTENTIONS:
            attentions += 1
        elif outcome.verdict == verdicts.UNKNOWN and lost + 1 < _tries(route):
            lost += 1
            if lost % MAX_READ_TRIES_PER_PATH == 0:
                route.advance()
        else:
            return outcome


def _tries(route: Route) -> int:
    return MAX_READ_TRIES_PER_PATH * len(route.paths)


def read_whole(
    route: Route,
    build: Callable[[int], Command],
    parse: Callable[[bytes, int], T],
    allocation_length: int,
    limit: int = spc.MAX_ALLOCATION_LENGTH,
) -> Procedure[T]:
    """Read and parse a reply, again with a larger buffer while it does not fit.

    Raises Unsupported where the target does not know the command, CommandFailed
    where it fails, ProtocolError where the reply is wrong, Truncated where it
    does not fit ``limit`` bytes.
    """
    for _ in range(MAX_REREADS_LARGER):
        command = build(allocation_length)
        outcome = yield from read(route, command)
        if outcome.verdict == verdicts.UNSUPPORTED:
            raise Unsupported(f"{command.name}: {outcome.detail}")
        if not outcome.good:
            raise failure(command, outcome)
        try:
            return parse(outcome.data, allocation_length)
        except Truncated as error:
            if allocation_length >= limit:
                raise
            allocation_length = min(max(error.needed, allocation_length + 1), limit)
    raise ProtocolError(f"{command.name}: the reply grows each time it is read")


class Unsupported(CommandFailed):
    """The target does not know the command."""


def failure(action: Action, outcome: Outcome) -> CommandFailed:
    """The error of a command that did not end well."""
    return CommandFailed(f"{action.name} failed: {outcome.detail}")
