"""Where the agent's words go: stderr, syslog, files.

Every line on stderr becomes a warning in Pacemaker's log, so without
``verbose`` only warnings and errors go there.

Nobody who does not read holds up a fence: neither a syslog daemon that hangs,
as on a dead disk, nor a full pipe.
"""

from __future__ import annotations

import os
import stat
import sys
import syslog
import time
from errno import EAGAIN, EPERM
from select import select

from ..errors import InvalidInput
from ..threads import NoAnswer, in_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from .parameters import Options

ERROR = "error"
WARNING = "warning"
INFO = "info"
DETAIL = "detail"

_SYSLOG_LEVELS = {ERROR: syslog.LOG_ERR, WARNING: syslog.LOG_WARNING, INFO: syslog.LOG_INFO}
# verbose_level from which a kind is written to stderr and logfile.
_THRESHOLDS = {ERROR: 0, WARNING: 0, INFO: 1, DETAIL: 3}
ALL_LEVELS = 10
# How long a reader of stderr, or syslog, may take for a line before it gets no more.
PATIENCE_SECONDS = 0.5
# What a pipe takes at once where select() says that it takes anything (pipe(7), PIPE_BUF).
AT_ONCE_BYTES = 4096


class Log:
    """Writes each line to every place that wants it."""

    def __init__(self, options: Options, name: str = "fence_prbarrier") -> None:
        """``name`` is whose lines these are in syslog."""
        self._quiet = options.flag("quiet")
        self._level = ALL_LEVELS if options.flag("verbose") else options.number("verbose_level")
        self._syslog_answers = not self._quiet
        if not self._quiet:
            syslog.openlog(name, syslog.LOG_PID, syslog.LOG_DAEMON)
        self._debug = self._logfile = None
        self._debug = self._open(options["debug_file"], "debug_file")
        self._logfile = self._open(options["logfile"], "logfile")

    def _open(self, path: str, name: str) -> TextIO | None:
        if path and _others_write_beside(path):
            try:
                return _open_own(path)
            except OSError as error:
                # Whoever put it there must not be able to stop a fence either.
                self.hear(WARNING, f"{name}={path}: {error.strerror}: nothing is logged there")
                return None
        return _open(path, name)

    @property
    def details(self) -> bool:
        """Whether anybody wants to read of every SCSI command."""
        somewhere = not self._quiet or self._logfile is not None
        return self._debug is not None or (somewhere and self._level >= _THRESHOLDS[DETAIL])

    def hear(self, kind: str, text: str) -> None:
        """Log one line; kinds that are not for people (begin, end) are passed over."""
        if kind not in _THRESHOLDS:
            return
        wanted = self._level >= _THRESHOLDS[kind]
        if not self._quiet:
            if wanted:
                say(text)
            self.to_syslog(kind, text)
        if self._logfile is not None and wanted:
            _write(self._logfile, kind, text)
        if self._debug is not None:
            _write(self._debug, kind, text)

    def to_syslog(self, kind: str, text: str) -> None:
        """One line to syslog only, unless ``quiet``."""
        if kind not in _SYSLOG_LEVELS or not self._syslog_answers:
            return
        line = f"{kind}: {one_line(text)}"
        try:
            in_time(
                lambda: syslog.syslog(_SYSLOG_LEVELS[kind], line), PATIENCE_SECONDS, lambda: False
            )
        except NoAnswer:
            self._syslog_answers = False


def one_line(text: str) -> str:
    """The same with control characters escaped: names in a message may hold any."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def say(text: str) -> None:
    """One line on stderr; a closed stderr changes no outcome."""
    if sys.stderr is None:
        return
    try:
        put(sys.stderr, (one_line(text) + "\n").encode("utf-8", "backslashreplace"))
    except OSError:
        sys.stderr = None  # nobody reads it; the exit code still tells


def put(stream: TextIO, data: bytes, seconds: float = PATIENCE_SECONDS) -> None:
    """Write to stdout or stderr; OSError where its reader takes nothing for so long."""
    stream.flush()
    try:
        descriptor = stream.fileno()
    except OSError:  # no file at all, as where a caller collects it
        stream.write(data.decode("utf-8", "surrogateescape"))
        return
    while data:
        if not select([], [descriptor], [], seconds)[1]:
            raise BlockingIOError(EAGAIN, "nobody reads it")
        data = data[os.write(descriptor, data[:AT_ONCE_BYTES]) :]


def _others_write_beside(path: str) -> bool:
    """Whether other users may put files into the folder that a log is to lie in."""
    try:
        folder = os.stat(os.path.dirname(path) or ".")
    except OSError:
        return False  # the log cannot be opened either
    return bool(folder.st_mode & 0o022) or folder.st_uid not in (0, os.geteuid())


def _open_own(path: str) -> TextIO:
    """A log that is new or this user's own, and nothing that was put there to lead elsewhere."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o640)
    found = os.fstat(descriptor)
    own = found.st_uid == os.geteuid() and stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    if not own:
        os.close(descriptor)
        raise OSError(EPERM, "not a file of its own, in a folder that other users write to")
    return open(descriptor, "a", encoding="utf-8", errors="backslashreplace")


def _open(path: str, name: str) -> TextIO | None:
    if not path:
        return None
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
        # Non-blocking: a pipe that nobody reads must not hold up a fence.
        descriptor = os.open(path, flags, 0o640)
        return open(descriptor, "a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InvalidInput(
            f"{name}={path}: {error.strerror}; give a file that can be written"
        ) from None


def _write(file: TextIO, kind: str, text: str) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    try:
        file.write(f"{stamp} {kind} {one_line(text)}\n")
        file.flush()
    except OSError:
        pass  # a full disk must not stop a fence
