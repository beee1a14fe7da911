"""SCSI commands by ioctl, inside the guest, for the resident agent.

On purpose nothing of the project is used here: the lab has to be able to
contradict what it tests.
"""

from __future__ import annotations

import array
import errno
import fcntl
import mmap
import os
import struct
import threading
import time
from typing import Any, Callable

SG_IO = 0x2285
SG_SCSI_RESET = 0x2284
HEADER_V3 = "@iiBBHIPPPIIiPBBBBHHiII0P"
HEADER_V4 = "=iIIIQQIIIIQIIIIQQIIQIIIIIIIIiiQII"
SENSE_BYTES = 96
BLOCK_BYTES = 512
UNIT_ATTENTIONS_MAX = 8
REGISTER_AND_IGNORE, CLEAR = 6, 3
TEST_UNIT_READY = bytes(6)
RESET_DEVICE_ONLY = 0x101  # no escalation to the target or the bus
RECORD = struct.Struct(">BBHI")
ANSWER = struct.Struct(">BBHBI")
SWEEP_KEY = 0x5357454550  # the key under which leftovers are swept away


def _v3(fd: int, cdb: bytes, out: bytes, length: int, timeout_ms: int) -> dict[str, Any]:
    """Send a command with the sg_io_hdr of block and sg nodes."""
    data = array.array("B", out if out else bytes(length))
    command, sense = array.array("B", cdb), array.array("B", bytes(SENSE_BYTES))
    direction = -2 if out else (-3 if length else -1)
    header = bytearray(
        struct.pack(
            HEADER_V3,
            *(ord("S"), direction, len(cdb), SENSE_BYTES, 0, len(data)),
            data.buffer_info()[0] if data else 0,
            *(command.buffer_info()[0], sense.buffer_info()[0], timeout_ms),
            *(0,) * 12,
        )
    )
    fcntl.ioctl(fd, SG_IO, header)
    fields = struct.unpack(HEADER_V3, header)
    status, sense_len, host, driver, resid = fields[13], fields[16], *fields[17:20]
    got = b"" if out else data.tobytes()[: length - max(resid, 0)]
    return {
        "status": status,
        "host_status": host,
        "driver_status": driver,
        "sense": sense.tobytes()[:sense_len].hex(),
        "resid": resid,
        "data": got.hex(),
    }


def _v4(fd: int, cdb: bytes, out: bytes, length: int, timeout_ms: int) -> dict[str, Any]:
    """Send a command with the sg_io_v4 of bsg nodes."""
    data_in, data_out = array.array("B", bytes(length)), array.array("B", out)
    command, sense = array.array("B", cdb), array.array("B", bytes(SENSE_BYTES))
    header = bytearray(
        struct.pack(
            HEADER_V4,
            *(ord("Q"), 0, 0, len(cdb), command.buffer_info()[0], 0, 0, 0, 0, SENSE_BYTES),
            *(sense.buffer_info()[0], 0, len(data_out), 0, 0 if out else length),
            data_out.buffer_info()[0] if out else 0,
            data_in.buffer_info()[0] if length and not out else 0,
            timeout_ms,
            *(0,) * 15,
        )
    )
    fcntl.ioctl(fd, SG_IO, header)
    fields = struct.unpack(HEADER_V4, header)
    driver, transport, device = fields[21:24]
    sense_len, resid = fields[27], fields[29] if out else fields[28]
    got = b"" if out else data_in.tobytes()[: length - max(resid, 0)]
    return {
        "status": device,
        "host_status": transport,
        "driver_status": driver,
        "sense": sense.tobytes()[:sense_len].hex(),
        "resid": resid,
        "data": got.hex(),
    }


def scsi(
    node: str,
    cdb: str,
    out: str = "",
    length: int = 0,
    *,
    timeout_ms: int = 30000,
    writable: bool = False,
) -> dict[str, Any]:
    """Send one command (hex) to a block, sg or bsg node; an OS error is an `errno`."""
    send = _v4 if "/bsg/" in node else _v3
    began = time.monotonic()
    reply: dict[str, Any] = {"errno": ""}
    try:
        fd = os.open(node, (os.O_RDWR if writable else os.O_RDONLY) | os.O_NONBLOCK)
        try:
            reply.update(send(fd, bytes.fromhex(cdb), bytes.fromhex(out), length, timeout_ms))
        finally:
            os.close(fd)
    except OSError as error:
        reply["errno"] = errno.errorcode.get(error.errno or 0, str(error.errno))
    reply["seconds"] = time.monotonic() - began
    return reply


def pr_out(action: int, key: int, sark: int, kind: int = 0, flags: int = 0) -> tuple[str, str]:
    """Return CDB and parameter list (hex) of a PERSISTENT RESERVE OUT."""
    cdb = bytes([0x5F, action, kind, 0, 0, 0, 0, 0, 24, 0])
    return cdb.hex(), struct.pack(">QQIBBH", key, sark, 0, flags, 0, 0).hex()


def _drain(node: str) -> str:
    """Eat a nexus's pending unit attentions; return what is wrong in the end, or ''."""
    reply: dict[str, Any] = {}
    for _ in range(UNIT_ATTENTIONS_MAX):
        reply = scsi(node, TEST_UNIT_READY.hex(), timeout_ms=10000)
        if not reply["errno"] and reply["status"] == 0 and reply["host_status"] == 0:
            return ""
    return f"{node}: {reply}"


def sweep(units: list[list[str]]) -> list[str]:
    """Remove every registration and reservation of each LU (a list of its nodes).

    Returns complaints. A registration that was made for a moment is what CLEAR needs.
    """
    complaints = []
    for nodes in units:
        complaints += [said for said in map(_drain, nodes) if said]
        for cdb, out in (pr_out(REGISTER_AND_IGNORE, 0, SWEEP_KEY), pr_out(CLEAR, SWEEP_KEY, 0)):
            reply = scsi(nodes[0], cdb, out, timeout_ms=10000)
            if reply["errno"] or reply["status"] or reply["host_status"]:
                complaints.append(f"{nodes[0]}: {cdb}: {reply}")
        complaints += [said for said in map(_drain, nodes) if said]
    return complaints


def reset(
    nodes: list[str], argument: int = RESET_DEVICE_ONLY, nonblocking: bool = False
) -> list[dict[str, Any]]:
    """SG_SCSI_RESET on all nodes at once, one thread each.

    Where another reset of the same session is on its way, a descriptor that was
    opened with O_NONBLOCK gets EAGAIN, any other waits.
    """
    flags = os.O_RDONLY | (os.O_NONBLOCK if nonblocking else 0)
    replies: list[dict[str, Any]] = [{} for _ in nodes]

    def one(index: int, node: str) -> None:
        began = time.monotonic()
        said = ""
        try:
            fd = os.open(node, flags)
            try:
                fcntl.ioctl(fd, SG_SCSI_RESET, struct.pack("i", argument))
            finally:
                os.close(fd)
        except OSError as error:
            said = errno.errorcode.get(error.errno or 0, str(error.errno))
        replies[index] = {"node": node, "errno": said, "seconds": time.monotonic() - began}

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(nodes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies


def run_file(nodes: list[str], source: str, sink: str, timeout_ms: int = 30000) -> int:
    """Send the commands of a file, in order, to these nodes; return how many they were.

    Each command in `source` is RECORD (index of its node, CDB bytes, data-out bytes, data-in
    bytes), CDB, data. Without a CDB it is a reset of the LU. Each answer in `sink` is ANSWER
    (errno, status, host status, sense bytes, data bytes), sense, data.
    """
    with open(source, "rb") as file:
        todo = memoryview(file.read())
    answers, at, count = bytearray(), 0, 0
    descriptors = [os.open(node, os.O_RDWR | os.O_NONBLOCK) for node in nodes]
    try:
        while at < len(todo):
            index, cdb_bytes, out_bytes, length = RECORD.unpack_from(todo, at)
            at += RECORD.size
            cdb = bytes(todo[at : at + cdb_bytes])
            out = bytes(todo[at + cdb_bytes : at + cdb_bytes + out_bytes])
            at += cdb_bytes + out_bytes
            fd, failed, reply = descriptors[index], 0, dict.fromkeys(("sense", "data"), "")
            try:
                if cdb:
                    reply = _v3(fd, cdb, out, length, timeout_ms)
                else:
                    fcntl.ioctl(fd, SG_SCSI_RESET, struct.pack("i", RESET_DEVICE_ONLY))
            except OSError as error:
                failed = error.errno or 0
            sense, data = bytes.fromhex(reply["sense"]), bytes.fromhex(reply["data"])
            status, host = (int(reply.get(word, 0)) for word in ("status", "host_status"))
            answers += ANSWER.pack(failed, status, host, len(sense), len(data)) + sense + data
            count += 1
    finally:
        for fd in descriptors:
            os.close(fd)
    with open(sink, "wb") as file:
        file.write(answers)
    return count


def _direct(node: str, flags: int, use: Callable[[int, mmap.mmap], None]) -> dict[str, Any]:
    """Open a node with O_DIRECT and do something with one aligned block."""
    began = time.monotonic()
    reply: dict[str, Any] = {"errno": ""}
    with mmap.mmap(-1, mmap.PAGESIZE) as page:  # O_DIRECT wants memory on a block's boundary
        try:
            fd = os.open(node, flags | os.O_DIRECT)
            try:
                use(fd, page)
            finally:
                os.close(fd)
        except OSError as error:
            reply["errno"] = errno.errorcode.get(error.errno or 0, str(error.errno))
        reply["data"] = page[:BLOCK_BYTES].hex()
    reply["seconds"] = time.monotonic() - began
    return reply


def write(node: str, block: int, data: str) -> dict[str, Any]:
    """Write one 512-byte block (hex, padded with zeros) past every cache."""

    def use(fd: int, page: mmap.mmap) -> None:
        content = bytes.fromhex(data)
        page[: len(content)] = content
        with memoryview(page)[:BLOCK_BYTES] as view:
            os.pwritev(fd, [view], block * BLOCK_BYTES)

    return _direct(node, os.O_WRONLY, use)


def read(node: str, block: int) -> dict[str, Any]:
    """Read one 512-byte block past every cache."""

    def use(fd: int, page: mmap.mmap) -> None:
        with memoryview(page)[:BLOCK_BYTES] as view:
            os.preadv(fd, [view], block * BLOCK_BYTES)

    return _direct(node, os.O_RDONLY, use)
