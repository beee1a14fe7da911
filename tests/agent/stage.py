"""A stage for the agent: three nodes, simulated LUs in files, every node with its own state_dir.

Each node is a name given to a process of its own; a "reboot" is a state_dir that is gone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from fence_prbarrier.simulator import store
from fence_prbarrier.simulator.__main__ import describe
from fence_prbarrier.simulator.faults import parse_fault
from fence_prbarrier.simulator.unit import LogicalUnit
from fence_prbarrier.simulator.values import Nexus

ROOT = Path(__file__).resolve().parents[2]
NODES = "n1:1,n2:2,n3:3"
CLUSTER = "demo"
INITIATOR = "iqn.2003-08.example.mock:"
# Long enough for a slow machine; every process here ends by itself much earlier.
PROCESS_LIMIT_SECONDS = 60
# What describe() says of registrations and reservation; the rest is queues and faults.
PERSISTENT = ("PRGENERATION", "registered", "nobody", "reserved", "not reserved")


class Result(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str


def initiator(node: str) -> str:
    """The name of a node's initiator port, as the mock transport makes it."""
    return INITIATOR + node


def environment() -> dict[str, str]:
    """Little, and nothing that could find a package of that name elsewhere."""
    return {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}


def start(arguments: list[str], cwd: Path, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """The agent, running."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "fence_prbarrier", *arguments],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
    )


def finish(process: subprocess.Popen[str]) -> Result:
    """Wait for the process's end and the end of its output."""
    out, err = process.communicate(timeout=PROCESS_LIMIT_SECONDS)
    return Result(process.returncode, out, err)


def run_raw(stdin: bytes, cwd: Path) -> Result:
    """The agent with exactly these bytes on stdin and no arguments."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fence_prbarrier"],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = process.communicate(stdin, timeout=PROCESS_LIMIT_SECONDS)
    return Result(process.returncode, out.decode(), err.decode(errors="backslashreplace"))


def assert_refused(result: Result, *words: str) -> None:
    """Exit 1, nothing on stdout, exactly one line on stderr, and every word in it."""
    assert result.code == 1, result
    assert result.out == "", result
    assert result.err.count("\n") == 1 and result.err.endswith("\n"), result
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err, (word, result.err)


class Stage:
    """The LUs ``lu0``, ``lu1``, … in one folder, and the nodes n1, n2, n3 around them."""

    def __init__(self, folder: Path, lus: int = 1, profile: str = "spec") -> None:
        self.folder = folder
        self.units = [folder / f"lu{number}" for number in range(lus)]
        for number, path in enumerate(self.units):
            # The serial decides the order of LUs: lu0 is the arbiter.
            store.create(str(path), LogicalUnit(profile, serial=f"{number:016x}"))

    @property
    def devices(self) -> str:
        return ",".join(f"mock:{path}" for path in self.units)

    def state(self, node: str) -> Path:
        return self.folder / f"state-{node}"

    def options(self, node: str, options: dict[str, object]) -> dict[str, str]:
        """The stdin names and values of a call on ``node``; None takes a default one away."""
        values: dict[str, object] = {
            "devices": self.devices,
            "nodes": NODES,
            "cluster_name": CLUSTER,
            "local_name": node,
            "state_dir": self.state(node),
        }
        values.update(options)
        return {name: str(value) for name, value in values.items() if value is not None}

    def begin(
        self, node: str, action: str, plug: str = "", **options: object
    ) -> subprocess.Popen[str]:
        """Start an action on ``node``, by arguments, as nobody waits for its stdin."""
        arguments = ["-o", action]
        if plug:
            arguments += ["-n", plug]
        for name, value in self.options(node, options).items():
            arguments.append(f"--{name.replace('_', '-')}={value}")
        return start(arguments, self.folder)

    def do(self, node: str, action: str, plug: str = "", **options: object) -> Result:
        """An action on ``node`` by key=value lines, as Pacemaker calls it."""
        lines = [f"action={action}"]
        if plug:
            lines.append(f"plug={plug}")
        lines += [f"{name}={value}" for name, value in self.options(node, options).items()]
        return run_raw("\n".join([*lines, ""]).encode(), self.folder)

    def join_all(self) -> Stage:
        for node in ("n1", "n2", "n3"):
            assert self.do(node, "on", node) == (0, "Success: Powered ON\n", "")
        return self

    def reboot(self, node: str) -> None:
        """Forget this boot; no real reboot ends in the second in which it began."""
        shutil.rmtree(self.state(node))
        time.sleep(1.0 - time.time() % 1.0)

    def fault(self, words: str, unit: int = 0) -> None:
        fault = parse_fault(words.split())
        store.transact(str(self.units[unit]), lambda lu: lu.add_fault(fault))

    def command(self, node: str, cdb: str, data_out: bytes = b"", unit: int = 0) -> int:
        """A command past the agent, in hex; the SCSI status.  Unit attentions are taken first."""
        nexus = Nexus(initiator(node))
        while True:
            path = str(self.units[unit])
            response = store.command(path, nexus, bytes.fromhex(cdb), data_out, 512)
            if response.status != 0x02 or response.sense[2] & 0x0F != 6:
                return response.status

    def reserve_out(
        self, node: str, action: int, key: int, new: int = 0, kind: int = 0, unit: int = 0
    ) -> int:
        """PERSISTENT RESERVE OUT past the agent; the SCSI status."""
        parameters = key.to_bytes(8, "big") + new.to_bytes(8, "big") + bytes(8)
        cdb = f"5f {action:02x} {kind:02x} 00 00 00 00 00 18 00"
        return self.command(node, cdb, parameters, unit)

    def write(self, node: str, unit: int = 0) -> int:
        """WRITE(10) of one block; the SCSI status."""
        return self.command(node, "2a 00 00 00 00 05 00 00 01 00", bytes(512), unit)

    def pictures(self) -> list[list[str]]:
        """Registrations, reservation and PRGENERATION of every LU."""
        texts = [describe(store.read(str(path))) for path in self.units]
        return [
            [line for line in text.splitlines() if line.startswith(PERSISTENT)] for text in texts
        ]

    def keys(self, node: str, unit: int = 0) -> list[int]:
        """The keys that are registered by a node's initiator."""
        name = f" {initiator(node)},"
        lines = self.pictures()[unit]
        return [
            int(line.split()[1], 16)
            for line in lines
            if line.startswith("registered") and name in line
        ]

    def memories(self) -> dict[str, bytes]:
        """Every file of every state_dir, but what was seen of other nodes."""
        return {
            str(file.relative_to(self.folder)): file.read_bytes()
            for file in sorted(self.folder.glob("state-*/*"))
            if file.suffix not in (".lock", ".seen")
        }
