"""Small files in ``state_dir``: written whole, read strictly, their owner's only.

* Written to a new file, synced, and renamed: a crash at any instant leaves the
  old content or the new one.
* Ended by a line with their checksum: one that is cut off or changed is an
  error, never an empty one.
* Only the agent's own user (root, under a cluster manager) may write there, or
  put another directory in its place.
"""

from __future__ import annotations

import os
import stat
from binascii import crc32
from errno import EINVAL, EISDIR

from .errors import InvalidInput, MemoryFault, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BOOT_ID_FILE = "/proc/sys/kernel/random/boot_id"
DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


def boot_id() -> str:
    """The kernel's identifier of this boot."""
    try:
        with open(BOOT_ID_FILE, encoding="ascii") as file:
            return file.read(64).strip()
    except OSError as error:
        raise MemoryFault(
            f"{BOOT_ID_FILE}: {error.strerror}: this boot cannot be told from another"
        ) from None


class StateDirectory:
    """The directory that everything of this boot lies in; its owner's only."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        if not os.path.isabs(path):
            raise InvalidInput(f"state_dir={quoted(path)}: an absolute path is expected")
        self.path = path

    def make(self) -> None:
        """Have it there, or MemoryFault."""
        try:
            os.mkdir(self.path, DIRECTORY_MODE)
        except FileExistsError:
            pass
        except OSError as error:
            raise MemoryFault(
                f"state_dir {self.path}: {error.strerror}: give a writable directory"
            ) from None
        if not self.check():
            raise MemoryFault(f"state_dir {self.path}: went away")

    def check(self) -> bool:
        """False if it is not there; MemoryFault if somebody else could write to or replace it."""
        try:
            self._check_parents()
            found = os.lstat(self.path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise MemoryFault(f"state_dir {self.path}: {error.strerror}") from None
        check_owner(found, self.path, stat.S_ISDIR)
        return True

    def _check_parents(self) -> None:
        """MemoryFault where another user could move it away: its memory would be gone."""
        above = os.path.dirname(self.path)
        for place in {*_chain(above), *_chain(os.path.realpath(above))}:
            found = os.lstat(place)
            mode = stat.S_IMODE(found.st_mode)
            loose = mode & 0o022 and not mode & stat.S_ISVTX and not stat.S_ISLNK(found.st_mode)
            if found.st_uid not in (0, os.geteuid()) or loose:
                raise MemoryFault(
                    f"state_dir {self.path}: {place} has owner {found.st_uid}, mode {mode:04o}:"
                    " its user could put another directory there; give one below directories"
                    " that only root can write to"
                )

    def names(self) -> list[str]:
        """What lies in it, in order; nothing where it is not there."""
        if not self.check():
            return []
        try:
            return sorted(os.listdir(self.path))
        except OSError as error:
            raise MemoryFault(f"state_dir {self.path}: {error.strerror}") from None


def _chain(path: str) -> list[str]:
    """A directory and all above it."""
    places = [path]
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        places.append(path)
    return places


def check_owner(found: os.stat_result, path: str, is_kind: Callable[[int], bool]) -> None:
    """MemoryFault unless it is of this kind, this user's, and writable by nobody else."""
    if not is_kind(found.st_mode):
        kind = "a directory" if is_kind is stat.S_ISDIR else "a file"
        raise MemoryFault(f"{path}: {kind} is expected, not a link or anything else")
    # None where it has just been replaced.
    if is_kind is stat.S_ISREG and found.st_nlink > 1:
        raise MemoryFault(f"{path}: has {found.st_nlink} names, one is expected: remove the others")
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise MemoryFault(
            f"{path}: owner {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}: it must"
            f" belong to user {os.geteuid()} and be writable by nobody else"
        )


class CheckedFile:
    """One file of text in ``state_dir`` that ends with a line of its checksum.

    ``need`` and ``remedy`` end the messages where the file cannot be reached,
    and where it is not what was written.
    """

    __slots__ = ("_directory", "path", "_need", "_remedy")

    def __init__(self, state_dir: str, name: str, need: str, remedy: str) -> None:
        self._directory = StateDirectory(state_dir)
        self.path = os.path.join(state_dir, name)
        self._need = need
        self._remedy = remedy

    def read(self, max_bytes: int) -> list[str] | None:
        """The lines but for the checksum's; None where there is no file.

        MemoryFault where it is broken, too large, or another user could write to it.
        """
        if not self._directory.check():
            return None
        try:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self.path, flags)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._fault(error) from None
        try:
            check_owner(os.fstat(descriptor), self.path, stat.S_ISREG)
            raw = os.read(descriptor, max_bytes + 1)
        except OSError as error:
            raise self._fault(error) from None
        finally:
            os.close(descriptor)
        if len(raw) > max_bytes:
            raise self.broken(f"larger than {max_bytes} bytes")
        head, mark, tail = raw.rpartition(b"end ")
        # The sum stands on a line of its own: what follows in a name would not end one.
        if not mark or head[-1:] != b"\n" or tail != b"%08x\n" % crc32(head):
            raise self.broken("cut off or changed")
        try:
            return head.decode().split("\n")[:-1]
        except UnicodeDecodeError:
            raise self.broken("not UTF-8 text") from None

    def write(self, body: str, max_bytes: int) -> None:
        """Replace it, durably, by ``body``, which ends with a line feed.

        One writer at a time: see lock().  MemoryFault where it cannot be written.
        """
        raw = body.encode()
        raw += b"end %08x\n" % crc32(raw)
        if len(raw) > max_bytes:
            raise MemoryFault(f"{self.path}: more than {max_bytes} bytes to remember")
        self._directory.make()
        # What a killed writer left, or somebody planted, is removed; O_EXCL refuses whatever
        # comes in between.
        fresh = self.path + ".new"
        try:
            remove(fresh)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(fresh, flags, FILE_MODE)
            try:
                write_all(descriptor, raw)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(fresh, self.path)
            _sync_directory(self._directory.path)
        except OSError as error:
            _remove_quietly(fresh)
            raise self._fault(error) from None

    def lock(self) -> int | None:
        """A descriptor that holds this file's lock, or None while another process has it."""
        from fcntl import LOCK_EX, LOCK_NB, flock

        self._directory.make()
        path = self.path + ".lock"
        flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, FILE_MODE)
        except OSError as error:
            raise self._fault(error, path) from None
        try:
            check_owner(os.fstat(descriptor), path, stat.S_ISREG)
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            os.close(descriptor)
            raise self._fault(error, path) from None
        except MemoryFault:
            os.close(descriptor)
            raise
        return descriptor

    def broken(self, why: str) -> MemoryFault:
        """What to raise where the content is not what this product writes."""
        return MemoryFault(f"{self.path}: {why}: {self._remedy}")

    def _fault(self, error: OSError, path: str = "") -> MemoryFault:
        return MemoryFault(f"{path or self.path}: {error.strerror}: {self._need}")


def read_regular(path: str, max_bytes: int) -> bytes:
    """A file that an administrator wrote, cut off after ``max_bytes``; OSError.

    Not a pipe or a device: reading one may take for ever, or tell something else each time.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(EINVAL, "not a regular file")
        raw = b""
        while len(raw) < max_bytes:
            chunk = os.read(descriptor, max_bytes - len(raw))
            if not chunk:
                break
            raw += chunk
        return raw
    finally:
        os.close(descriptor)


def start_time(process: int) -> str:
    """When a process began, which tells it from another of its number; empty if it has ended."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read(4096).rpartition(")")[2].split()
    except OSError:
        return ""  # it is gone
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


def write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _remove_quietly(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # the first error is the one to tell
