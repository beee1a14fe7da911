"""Where the agent's words go: stderr, syslog, files.

Every line on stderr becomes a warning in Pacemaker's log, so without
``verbose`` only warnings and errors go there.
"""

from __future__ import annotations

import os
import sys
import syslog
import time

from ..errors import InvalidInput

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


class Log:
    """Writes each line to every place that wants it."""

    def __init__(self, options: Options, name: str = "fence_prbarrier") -> None:
        """``name`` is whose lines these are in syslog."""
        self._quiet = options.flag("quiet")
        self._level = ALL_LEVELS if options.flag("verbose") else options.number("verbose_level")
        self._debug = _open(options["debug_file"], "debug_file")
        self._logfile = _open(options["logfile"], "logfile")
        if not self._quiet:
            syslog.openlog(name, syslog.LOG_PID, syslog.LOG_DAEMON)

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
        if kind in _SYSLOG_LEVELS and not self._quiet:
            syslog.syslog(_SYSLOG_LEVELS[kind], f"{kind}: {one_line(text)}")


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
        sys.stderr.write(one_line(text) + "\n")
        sys.stderr.flush()
    except OSError:
        pass  # nobody reads it; the exit code still tells


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
