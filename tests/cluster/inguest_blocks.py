"""Writes and watches signed blocks, inside a guest; plain Python, nothing of the project.

    inguest_blocks.py write DEVICE JSON LOG    many direct writes in flight, for ever
    inguest_blocks.py watch DEVICE JSON LOG    direct reads of the same blocks, for ever

JSON: {"base": BYTES, "length": BYTES, "block": BYTES, ...}. Both end when the file
LOG.stop appears. LOG has one JSON value a line and is synced, so that it
outlives the guest.

Each block is signed with the name of the node, its boot id, the incarnation it
was given, the thread, a sequence number that grows by one with each write of
the thread, its own place and the time (of the host's clock, which all guests
share); a checksum covers it to the last byte.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import struct
import sys
import threading
import time
import zlib
from typing import Any, NamedTuple

HEADER = struct.Struct(">8s16s36sIHxxQQQ")
CHECKSUM = struct.Struct(">I")
MAGIC = b"PRBLOCK1"
FLUSH_S = 0.2
PAUSE_AFTER_ERROR_S = 0.1
ERRORS_LOGGED_MAX = 200
SAMPLES_MAX = 8
READ_BYTES = 256 << 10
WATCH_PAUSE_S = 0.02


class Signature(NamedTuple):
    """Who wrote a block, and when."""

    node: str
    boot_id: str
    incarnation: int
    thread: int
    sequence: int
    place: int
    time_ns: int


def sign(signature: Signature, size: int) -> bytes:
    """Return a block."""
    node, boot_id, *numbers = signature
    header = HEADER.pack(MAGIC, node.encode(), boot_id.encode(), *numbers)
    body = (header * (size // len(header) + 1))[: size - CHECKSUM.size]
    return body + CHECKSUM.pack(zlib.crc32(body))


def read_signature(block: bytes) -> Signature | None:
    """Return a block's signature; None where it has none, or is torn."""
    body = block[: -CHECKSUM.size]
    if not block.startswith(MAGIC) or CHECKSUM.unpack(block[-CHECKSUM.size :])[0] != zlib.crc32(
        body
    ):
        return None
    _, node, boot_id, *numbers = HEADER.unpack_from(block)
    return Signature(node.rstrip(b"\0").decode(), boot_id.decode(), *numbers)


class Log:
    """A file of JSON lines that is on the host's side when `say` returns."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "a")  # noqa: SIM115 (it lives as long as the process)
        self._lock = threading.Lock()
        self._stop = f"{path}.stop"

    def say(self, **values: Any) -> None:
        """Append a line."""
        with self._lock:
            self._file.write(json.dumps({"time": time.time(), **values}) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    @property
    def stopped(self) -> bool:
        """Whether somebody has asked for the end."""
        return os.path.exists(self._stop)


class Writer:
    """Threads that write, each over its own part of the region, one write in flight each."""

    def __init__(self, device: str, given: dict[str, Any], log: Log) -> None:
        self.device, self.given, self.log = device, given, log
        self.acknowledged = [0] * given["threads"]
        self.errors = 0
        self.ended = False

    def run(self) -> None:
        """Write until told to stop."""
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot_id = file.read().strip()
        self.log.say(event="begin", boot_id=boot_id)
        threads = [
            threading.Thread(target=self._write, args=(number, boot_id), daemon=True)
            for number in range(self.given["threads"])
        ]
        for thread in threads:
            thread.start()
        while not self.log.stopped:
            time.sleep(FLUSH_S)
            self.log.say(event="acks", acknowledged=list(self.acknowledged), errors=self.errors)
        self.ended = True
        for thread in threads:
            thread.join(2)  # one that sleeps in the kernel is not waited for
        self.log.say(event="end", acknowledged=list(self.acknowledged), errors=self.errors)

    def _write(self, thread: int, boot_id: str) -> None:
        size, given = self.given["block"], self.given
        blocks = given["length"] // size // given["threads"]
        first = thread * blocks
        page = mmap.mmap(-1, max(size, mmap.PAGESIZE))  # O_DIRECT wants aligned memory
        fd = -1
        sequence = 0
        while not self.ended:
            time.sleep(given.get("pause_s", 0))
            sequence += 1
            index = first + sequence % blocks
            sent = time.time_ns()
            signature = (given["name"], boot_id, given["incarnation"], thread)
            page[:size] = sign(Signature(*signature, sequence, index, sent), size)
            try:
                if fd < 0:
                    fd = os.open(self.device, os.O_WRONLY | os.O_DIRECT)
                with memoryview(page)[:size] as view:
                    if os.pwritev(fd, [view], given["base"] + index * size) != size:
                        raise OSError(errno.EIO, "short write")
                self.acknowledged[thread] = sequence
            except OSError as error:
                self._failed(thread, sequence, sent, error)

    def _failed(self, thread: int, sequence: int, sent: int, error: OSError) -> None:
        self.errors += 1
        if self.errors <= ERRORS_LOGGED_MAX:
            name = errno.errorcode.get(error.errno or 0, str(error.errno))
            where = {"thread": thread, "sequence": sequence, "sent": sent / 1e9}
            self.log.say(event="error", errno=name, **where)
        time.sleep(PAUSE_AFTER_ERROR_S)


def _read(fd: int, base: int, length: int, page: mmap.mmap) -> bytes:
    """Read the region past every cache."""
    parts = []
    for offset in range(0, length, READ_BYTES):
        size = min(READ_BYTES, length - offset)
        with memoryview(page)[:size] as view:
            if os.preadv(fd, [view], base + offset) != size:
                raise OSError(errno.EIO, "short read")
        parts.append(page[:size])
    return b"".join(parts)


def watch(device: str, given: dict[str, Any], log: Log) -> None:
    """Read again and again; log every pass that differs from the one before.

    "since" is when the pass before began: what has changed has been written after it.
    """
    base, length, size = given["base"], given["length"], given["block"]
    page = mmap.mmap(-1, READ_BYTES)
    fd = os.open(device, os.O_RDONLY | os.O_DIRECT)
    before, since, passes = b"", 0.0, 0
    while True:
        began, stopped = time.time(), log.stopped
        region = _read(fd, base, length, page)
        passes += 1
        if passes == 1:
            log.say(event="begin")
        elif region != before:
            changed = [
                at
                for at in range(0, length, size)
                if region[at : at + size] != before[at : at + size]
            ]
            samples = [read_signature(region[at : at + size]) for at in changed[:SAMPLES_MAX]]
            log.say(event="change", since=since, began=began, blocks=len(changed), samples=samples)
        before, since = region, began
        if stopped:
            break
        time.sleep(WATCH_PAUSE_S)
    found = [read_signature(region[at : at + size]) for at in range(0, length, size)]
    log.say(event="end", passes=passes, began=began, blocks=found)


def main() -> None:
    """Write or watch."""
    what, device, given, path = sys.argv[1:]
    log = Log(path)
    if what == "write":
        Writer(device, json.loads(given), log).run()
        os._exit(0)  # whatever still sleeps in the kernel
    watch(device, json.loads(given), log)


if __name__ == "__main__":
    main()
