"""This boot's memory on disk: one small file a node in ``state_dir``.

A broken file is an error, never an empty memory.
"""

from __future__ import annotations

import os
import stat
import time

from .barrier.memory import Memory, Standing
from .errors import JoinUnderWay, MemoryFault, quoted
from .files import (
    FILE_MODE,
    CheckedFile,
    StateDirectory,
    boot_id,
    check_owner,
    remove,
    start_time,
)
from .key import MAX_INCARNATION

# A LU that this boot joined: among those of the last join, or not.
JOINED, UNLISTED = "joined", "unlisted"
MAGIC = "fence_prbarrier memory 2"
MAX_FILE_BYTES = 1 << 23
MAX_JOINED = 4096
MAX_DIGITS = 10
MAX_NOTE_BYTES = 64
# A worker ends by itself at its time limit; one that has not so long after is stopped, or asleep
# in the kernel.
OVERDUE_SECONDS = 5
SIGKILL = 9
NEED = "this boot's memory needs a writable state_dir"
REMEDY = (
    "whether this boot has joined is not known; reboot the node, or remove the file if it holds no"
    " unwritten data"
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
        flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        text = f"{boot_id()}\n".encode()
        try:
            descriptor = os.open(self.path, flags, FILE_MODE)
            try:
                check_owner(os.fstat(descriptor), self.path, stat.S_ISREG)
                # Over what is there: a full disk, or a kill, takes no mark away.
                os.pwrite(descriptor, text, 0)
                os.ftruncate(descriptor, len(text))
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
            check_owner(os.fstat(descriptor), self.path, stat.S_ISREG)
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
            remove(self.path)
        except OSError as error:
            raise MemoryFault(f"{self.path}: {error.strerror}") from None


def _number(text: str) -> int:
    """A number as this module writes it, -1 for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else -1


class Store:
    """The memory of node ``node`` of cluster ``tag`` in ``state_dir``."""

    __slots__ = ("_file", "tag", "node", "path")

    def __init__(self, state_dir: str, tag: int, node: int) -> None:
        self._file = CheckedFile(state_dir, f"{tag:04x}-{node:04x}", NEED, REMEDY)
        self.tag = tag
        self.node = node
        self.path = self._file.path

    def load(self) -> Memory:
        """What is remembered; nothing at all if the node never joined."""
        lines = self._file.read(MAX_FILE_BYTES)
        return Memory(self.tag, self.node) if lines is None else self._parse(lines)

    def save(self, memory: Memory) -> None:
        """Make it durable; on return the new memory is what a crash would leave.

        The join lock admits one writer.
        """
        if (memory.tag, memory.node) != (self.tag, self.node):
            raise ValueError("the memory of another node")
        if len(memory.joined) > MAX_JOINED:
            raise MemoryFault(f"{self.path}: more than {MAX_JOINED} LUs to remember")
        body = f"{MAGIC}\nboot {boot_id()}\nincarnation {memory.incarnation}\n"
        for name in sorted(memory.joined):
            standing = memory.joined[name]
            body += f"{JOINED if standing.listed else UNLISTED} {name} {standing.count}\n"
            for nexus, device in sorted(standing.paths):
                if not (nexus.isprintable() and device.isprintable()):
                    raise MemoryFault(f"device {device!r}: its name cannot be kept; rename it")
                body += f"path {nexus}\t{device}\n"
        self._file.write(body, MAX_FILE_BYTES)

    def lock(self, until: float | None = None) -> int:
        """A descriptor that holds this node's join lock, or JoinUnderWay while another has it.

        ``until``: when the holder is to have ended, on time.monotonic()'s scale;
        see end_overdue().

        A worker that sleeps in the kernel with a registration in flight keeps
        it.  (Not on an sg node, where the kernel lets a killed process go while
        its command lives on; a registration that lands later bears the same
        incarnation as this boot's next one.)
        """
        descriptor = self._file.lock()
        if descriptor is None:
            raise JoinUnderWay(
                f"{self.path}.lock: another action=on of this node is at work; wait for it to end"
            )
        try:
            os.ftruncate(descriptor, 0)
            if until is not None:
                process = os.getpid()
                note = f"{process} {start_time(process)} {until:.0f}\n"
                os.pwrite(descriptor, note.encode(), 0)
        except OSError:
            pass  # a full disk: nobody can tell then that this one is overdue
        return descriptor

    def end_overdue(self) -> int:
        """End the holder of the lock if it is long past its time; its process id, 0 if it is not.

        As its supervisor does, which may be stopped just as it is.  A process
        that sleeps in the kernel keeps the lock until that lets it go.
        """
        try:
            with open(f"{self.path}.lock", encoding="ascii", errors="replace") as file:
                process, _, rest = file.read(MAX_NOTE_BYTES).strip().partition(" ")
            began, _, until = rest.partition(" ")
            told = process.isdigit() and bool(began) and until.isdigit()
            if not told or time.monotonic() < int(until) + OVERDUE_SECONDS:
                return 0
            if start_time(int(process)) != began:
                return 0
            os.kill(int(process), SIGKILL)
        except OSError:
            return 0  # it has ended by itself, or cannot be told
        return int(process)

    def _parse(self, lines: list[str]) -> Memory:
        if lines[:1] != [MAGIC] or len(lines) < 3:
            raise self._file.broken("not written by this version")
        (boot_kind, _, boot), (kind, _, incarnation) = (each.partition(" ") for each in lines[1:3])
        if boot_kind != "boot" or not boot:
            # Taken for another boot's, it would hide that this one has joined.
            raise self._file.broken("no boot in it")
        if kind != "incarnation" or not 0 < _number(incarnation) <= MAX_INCARNATION:
            raise self._file.broken("no incarnation in it")
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
                if not name or name in found or _number(count) < 0:
                    raise self._file.broken(f"LU {quoted(name)} twice, or not with one count")
                found[name] = (_number(count), set(), kind == JOINED)
            elif kind == "path" and found:
                nexus, _, device = rest.partition("\t")
                if not device or "\t" in device:
                    raise self._file.broken(f"LU {quoted(name)} with a path that is none")
                found[name][1].add((nexus, device))
            else:
                raise self._file.broken(f"a line that begins with {kind[:20]!r}")
        return {
            name: Standing(count, frozenset(paths), listed)
            for name, (count, paths, listed) in found.items()
        }
