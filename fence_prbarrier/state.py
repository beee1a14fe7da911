"""This boot's memory on disk: one small file a node in ``state_dir``.

* Written whole to a new file, synced, and renamed: a crash at any instant
  leaves the old memory or the new one.
* Read strictly: a broken file is an error, never an empty memory.
* Only the agent's own user (root, under a cluster manager) may write there.
"""

from __future__ import annotations

import os
import stat
from binascii import crc32

from .barrier.memory import Memory, Standing
from .errors import InvalidInput, JoinUnderWay, MemoryFault
from .key import MAX_INCARNATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BOOT_ID_FILE = "/proc/sys/kernel/random/boot_id"
# A LU that this boot joined: among those of the last join, or not.
JOINED, UNLISTED = "joined", "unlisted"
MAGIC = "fence_prbarrier memory 2"
MAX_FILE_BYTES = 1 << 23
MAX_JOINED = 4096
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
            raise InvalidInput(f"state_dir={path!r}: an absolute path is expected")
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
        """False if it is not there; MemoryFault if somebody else could write to it."""
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise MemoryFault(f"state_dir {self.path}: {error.strerror}") from None
        check_owner(found, self.path, stat.S_ISDIR)
        return True

    def names(self) -> list[str]:
        """What lies in it, in order; nothing where it is not there."""
        if not self.check():
            return []
        try:
            return sorted(os.listdir(self.path))
        except OSError as error:
            raise MemoryFault(f"state_dir {self.path}: {error.strerror}") from None


def check_owner(found: os.stat_result, path: str, is_kind: Callable[[int], bool]) -> None:
    """MemoryFault unless it is of this kind, this user's, and writable by nobody else."""
    if not is_kind(found.st_mode):
        kind = "a directory" if is_kind is stat.S_ISDIR else "a file"
        raise MemoryFault(f"{path}: {kind} is expected, not a link or anything else")
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise MemoryFault(
            f"{path}: owner {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}: it must"
            f" belong to user {os.geteuid()} and be writable by nobody else"
        )


class Marker:
    """A note in ``state_dir`` that something was begun in this boot.

    A resource agent has no process that runs, so this is what tells "started"
    from "stopped".
    """

    __slots__ = ("_directory", "path")

    def __init__(self, state_dir: str, name: str) -> None:
        self._directory = StateDirectory(state_dir)
        self.path = os.path.join(state_dir, name)

    def put(self) -> None:
        """Have it there, or MemoryFault."""
        self._directory.make()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self.path, flags, FILE_MODE)
            try:
                _write_all(descriptor, f"{boot_id()}\n".encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise MemoryFault(f"{self.path}: {error.strerror}") from None

    def is_there(self) -> bool:
        """Whether it was put in this boot."""
        if not self._directory.check():
            return False
        try:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self.path, flags)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise MemoryFault(f"{self.path}: {error.strerror}") from None
        try:
            return os.read(descriptor, 64).decode("ascii", "replace").strip() == boot_id()
        except OSError as error:
            raise MemoryFault(f"{self.path}: {error.strerror}") from None
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Have it not there, or MemoryFault."""
        if not self._directory.check():
            return
        try:
            _remove(self.path)
        except OSError as error:
            raise MemoryFault(f"{self.path}: {error.strerror}") from None


class Store:
    """The memory of node ``node`` of cluster ``tag`` in ``state_dir``."""

    __slots__ = ("_directory", "tag", "node", "path")

    def __init__(self, state_dir: str, tag: int, node: int) -> None:
        self._directory = StateDirectory(state_dir)
        self.tag = tag
        self.node = node
        self.path = os.path.join(state_dir, f"{tag:04x}-{node:04x}")

    def load(self) -> Memory:
        """What is remembered; nothing at all if the node never joined."""
        if not self._directory.check():
            return Memory(self.tag, self.node)
        try:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self.path, flags)
        except FileNotFoundError:
            return Memory(self.tag, self.node)
        except OSError as error:
            raise self._fault(error) from None
        try:
            check_owner(os.fstat(descriptor), self.path, stat.S_ISREG)
            raw = os.read(descriptor, MAX_FILE_BYTES + 1)
        except OSError as error:
            raise self._fault(error) from None
        finally:
            os.close(descriptor)
        return self._parse(raw)

    def save(self, memory: Memory) -> None:
        """Make it durable; on return the new memory is what a crash would leave."""
        if (memory.tag, memory.node) != (self.tag, self.node):
            raise ValueError("the memory of another node")
        if len(memory.joined) > MAX_JOINED:
            raise MemoryFault(f"{self.path}: more than {MAX_JOINED} LUs to remember")
        self._directory.make()
        body = f"{MAGIC}\nboot {boot_id()}\nincarnation {memory.incarnation}\n"
        for name in sorted(memory.joined):
            standing = memory.joined[name]
            body += f"{JOINED if standing.listed else UNLISTED} {name} {standing.count}\n"
            for nexus, device in sorted(standing.paths):
                if not (nexus.isprintable() and device.isprintable()):
                    raise MemoryFault(f"device {device!r}: its name cannot be kept; rename it")
                body += f"path {nexus}\t{device}\n"
        body += f"end {crc32(body.encode()):08x}\n"
        if len(body.encode()) > MAX_FILE_BYTES:
            raise MemoryFault(f"{self.path}: more than {MAX_FILE_BYTES} bytes to remember")
        # The join lock admits one writer. What a killed one left, or somebody planted, is removed;
        # O_EXCL refuses whatever comes in between.
        fresh = self.path + ".new"
        try:
            _remove(fresh)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(fresh, flags, FILE_MODE)
            try:
                _write_all(descriptor, body.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(fresh, self.path)
            _sync_directory(self._directory.path)
        except OSError as error:
            _remove_quietly(fresh)
            raise self._fault(error) from None

    def lock(self) -> int:
        """A descriptor that holds this node's join lock, or MemoryFault while another has it.

        A worker that sleeps in the kernel with a registration in flight keeps
        it.  (Not on an sg node, where the kernel lets a killed process go while
        its command lives on; a registration that lands later bears the same
        incarnation as this boot's next one.)
        """
        from fcntl import LOCK_EX, LOCK_NB, flock

        self._directory.make()
        path = self.path + ".lock"
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, FILE_MODE)
        except OSError as error:
            raise self._fault(error, path) from None
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise JoinUnderWay(
                f"{path}: another action=on of this node is at work; wait for it to end"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise self._fault(error, path) from None
        return descriptor

    def _parse(self, raw: bytes) -> Memory:
        if len(raw) > MAX_FILE_BYTES:
            raise self._broken(f"larger than {MAX_FILE_BYTES} bytes")
        head, mark, tail = raw.rpartition(b"end ")
        if not mark or tail != b"%08x\n" % crc32(head):
            raise self._broken("cut off or changed")
        lines = head.decode("utf-8", "replace").split("\n")[:-1]
        if lines[:1] != [MAGIC] or len(lines) < 3:
            raise self._broken("not written by this version")
        boot = lines[1].partition(" ")[2]
        incarnation = lines[2].partition(" ")[2]
        if not incarnation.isdigit() or not 0 < int(incarnation) <= MAX_INCARNATION:
            raise self._broken("no incarnation in it")
        current = boot == boot_id()
        return Memory(
            self.tag,
            self.node,
            int(incarnation),
            current,
            self._standings(lines[3:]) if current else None,
        )

    def _standings(self, lines: list[str]) -> dict[str, Standing]:
        """The LUs, each with the paths in the lines that follow it."""
        found: dict[str, tuple[int, set[tuple[str, str]], bool]] = {}
        name = ""
        for line in lines:
            kind, _, rest = line.partition(" ")
            if kind in (JOINED, UNLISTED):
                name, _, count = rest.partition(" ")
                if not (count.isascii() and count.isdigit()):
                    raise self._broken(f"LU {name} with no count of its nexuses")
                found[name] = (int(count), set(), kind == JOINED)
            elif kind == "path" and found:
                nexus, _, device = rest.partition("\t")
                found[name][1].add((nexus, device))
            else:
                raise self._broken(f"a line that begins with {kind[:20]!r}")
        return {
            name: Standing(count, frozenset(paths), listed)
            for name, (count, paths, listed) in found.items()
        }

    def _broken(self, why: str) -> MemoryFault:
        return MemoryFault(
            f"{self.path}: {why}: whether this boot has joined is not known; reboot the node,"
            " or remove the file if it holds no unwritten data"
        )

    def _fault(self, error: OSError, path: str = "") -> MemoryFault:
        return MemoryFault(
            f"{path or self.path}: {error.strerror}: this boot's memory needs a writable state_dir"
        )


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _remove_quietly(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # the first error is the one to tell
