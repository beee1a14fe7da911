"""One logical unit in one file that many processes share, as nodes share a logical unit.

Each command is one transaction: lock, read, run, write a new file, rename it over the old one.
A process that is killed at any instant leaves the old file or the new one, whole; a reader needs
no lock. (After a crash of the machine itself nothing is promised: there is no fsync.)

The lock is an exclusive flock on the file, and the rename replaces the file. So whoever gets the
lock checks that the inode which it locked is still the one at the path, and starts again where
it is not: the transaction that it waited for has put a new file there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from .textform import MAX_FILE_BYTES, dump, load
from .unit import LogicalUnit
from .values import Nexus, Response, SimulatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")

LOCK_TIMEOUT_S = 20.0
LOCK_POLL_FIRST_S = 0.0002
LOCK_POLL_MOST_S = 0.005
FILE_MODE = 0o600


def create(path: str, unit: LogicalUnit) -> None:
    """Put a new logical unit into a new file; an error where the file exists."""
    target = os.path.realpath(path)
    temporary = f"{target}.{os.getpid()}.new"
    try:
        _write_file(temporary, dump(unit), FILE_MODE)
        try:
            # link() fails where the name is taken; rename() would replace it.
            os.link(temporary, target)
        finally:
            os.unlink(temporary)
    except OSError as error:
        raise SimulatorError(f"{path}: {os.strerror(error.errno or 0)}") from None


def read(path: str) -> LogicalUnit:
    """The logical unit as it is now. Needs no lock, since files are only ever replaced."""
    try:
        descriptor = os.open(os.path.realpath(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SimulatorError(f"{path}: {os.strerror(error.errno or 0)}") from None
    try:
        return _load(path, _read_all(path, descriptor))
    finally:
        os.close(descriptor)


def transact(
    path: str,
    change: Callable[[LogicalUnit], Result],
    create_as: Callable[[], LogicalUnit] | None = None,
) -> Result:
    """Run `change` on the logical unit in this file, alone; what it returns.

    Where it raises, nothing is written. A file that does not exist is an error unless
    `create_as` says what to put there first.
    """
    target = os.path.realpath(path)
    descriptor = _lock(path, target, create_as)
    try:
        before = _read_all(path, descriptor)
        unit = _load(path, before)
        result = change(unit)
        after = dump(unit)
        if after != before:
            _replace(path, target, descriptor, after)
        return result
    finally:
        os.close(descriptor)  # and with it the lock


def command(
    path: str, nexus: Nexus, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0
) -> Response:
    """Run one command. A delay is slept here, outside the lock, before the command is run."""

    def attempt(unit: LogicalUnit) -> tuple[int, Response | None]:
        delay_ms = unit.take_delay(nexus, cdb)
        if delay_ms:
            return delay_ms, None
        return 0, unit.execute(nexus, cdb, data_out, data_in_length)

    delay_ms, response = transact(path, attempt)
    if response is None:
        time.sleep(delay_ms / 1000)
        response = transact(path, lambda unit: unit.execute(nexus, cdb, data_out, data_in_length))
        response.delay_ms = delay_ms
    return response


def reset(path: str, nexus: Nexus) -> Response:
    """LOGICAL UNIT RESET, delayed as a command is."""
    delay_ms = transact(path, lambda unit: unit.take_delay(nexus))
    if delay_ms:
        time.sleep(delay_ms / 1000)
    response = transact(path, lambda unit: unit.execute_reset(nexus))
    response.delay_ms = delay_ms
    return response


# --- Parts ---------------------------------------------------------------------------------------


def _lock(path: str, target: str, create_as: Callable[[], LogicalUnit] | None) -> int:
    """An open descriptor of the file at this path, locked."""
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    pause_s = LOCK_POLL_FIRST_S
    while True:
        descriptor = _open(path, target, create_as)
        if descriptor is not None:
            if _try_lock(descriptor) and _is_at(descriptor, target):
                return descriptor
            os.close(descriptor)
        if time.monotonic() > deadline:
            raise SimulatorError(f"{path}: not locked within {LOCK_TIMEOUT_S:g} s")
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, LOCK_POLL_MOST_S)


def _open(path: str, target: str, create_as: Callable[[], LogicalUnit] | None) -> int | None:
    """A descriptor; None where the file had to be created and is to be opened again."""
    try:
        return os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ENOENT or create_as is None:
            raise SimulatorError(f"{path}: {os.strerror(error.errno or 0)}") from None
    try:
        create(path, create_as())
    except SimulatorError:
        if not os.path.exists(target):
            raise  # not: another process created it first
    return None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, target: str) -> bool:
    """Whether the file that was opened is still the one at the path."""
    try:
        there = os.stat(target)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _read_all(path: str, descriptor: int) -> bytes:
    chunks = []
    total = 0
    try:
        while total <= MAX_FILE_BYTES:
            chunk = os.read(descriptor, 1 << 20)
            if not chunk:
                break
            chunks.append(chunk)
            total += len(chunk)
    except OSError as error:
        raise SimulatorError(f"{path}: {os.strerror(error.errno or 0)}") from None
    return b"".join(chunks)


def _load(path: str, data: bytes) -> LogicalUnit:
    try:
        return load(data)
    except SimulatorError as error:
        raise SimulatorError(f"{path}: not a simulated logical unit: {error}") from None


def _replace(path: str, target: str, descriptor: int, data: bytes) -> None:
    """Put a new file in the place of the locked one.

    The temporary name is the same each time: only who holds the lock writes to it, and what a
    killed process left there is overwritten.
    """
    temporary = f"{target}.new"
    try:
        mode = os.fstat(descriptor).st_mode & 0o777
        _write_file(temporary, data, mode)
        os.rename(temporary, target)
    except OSError as error:
        raise SimulatorError(f"{path}: {os.strerror(error.errno or 0)}") from None


def _write_file(path: str, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)
