"""A site of simulated LUs with many nodes and several paths, and what the agent is told of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from fence_prbarrier.cluster import build_cluster
from fence_prbarrier.key import Key
from fence_prbarrier.scsi.command import register_and_ignore, reserve
from fence_prbarrier.simulator import store
from fence_prbarrier.simulator.unit import LogicalUnit
from fence_prbarrier.simulator.values import Nexus
from fence_prbarrier.transport.mock import INITIATOR_PREFIX

CLUSTER = "site"
MAX_REGISTRATIONS = 1024
INCARNATION = 1000
# The agent's own limits are for disks; a simulated LU takes longer.
LIMIT_SECONDS = 600


class Size(NamedTuple):
    """How many nodes are to be registered on how many paths to each of how many LUs."""

    units: int
    paths: int
    nodes: int

    @property
    def local(self) -> str:
        """The last node: all others have joined."""
        return f"n{self.nodes}"


class Site:
    """The LUs in one folder; every node but the last is registered on every path to each."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder = folder
        self.size = size
        self.nodes = ",".join(f"n{number}:{number}" for number in range(1, size.nodes + 1))
        self.template = self._joined()
        self.log = folder / "log"
        self.list = folder / "devices"
        self.list.write_text("\n".join(self._names()) + "\n")

    def _joined(self) -> LogicalUnit:
        """One LU that all nodes but the last have joined; the first one holds the reservation."""
        tag = build_cluster(CLUSTER, "", self.nodes).tag
        unit = LogicalUnit("spec", max_registrations=MAX_REGISTRATIONS)
        for node in range(1, self.size.nodes):
            key = Key.build(tag, node, INCARNATION)
            commands = [(path, register_and_ignore(key, True)) for path in self._ports()]
            if node == 1:
                commands.append((1, reserve(key)))
            for port, command in commands:
                nexus = Nexus(f"{INITIATOR_PREFIX}n{node}", port=port)
                if unit.command(nexus, command.cdb, command.data_out).status:
                    raise RuntimeError(f"node {node} could not join")
        return unit

    def _ports(self) -> range:
        return range(1, self.size.paths + 1)

    def _file(self, number: int) -> Path:
        return self.folder / f"lu{number:03}"

    def _names(self) -> list[str]:
        """Every path, as a multipath map's would be found: fabric by fabric."""
        return [
            f"mock:{self._file(number)}?port={port}"
            for port in self._ports()
            for number in range(self.size.units)
        ]

    def renew(self) -> None:
        """As it was before the last node joined; its memory is gone too."""
        for number in range(self.size.units):
            self._file(number).unlink(missing_ok=True)
            self.template.serial = f"{number:016}"
            store.create(str(self._file(number)), self.template)
        for path in (self.folder / "state").glob("*"):
            path.unlink()

    def values(self, action: str, plug: str) -> dict[str, str]:
        """What the agent is told on the last node."""
        limits = ("power_timeout", "on_timeout", "monitor_timeout")
        return {
            "action": action,
            "plug": plug,
            "devices_file": str(self.list),
            "nodes": self.nodes,
            "cluster_name": CLUSTER,
            "local_name": self.size.local,
            "state_dir": str(self.folder / "state"),
            "quiet": "1",
            "logfile": str(self.log),
            "verbose_level": "1",
            **dict.fromkeys(limits, str(LIMIT_SECONDS)),
        }

    def stdin(self, action: str, plug: str) -> bytes:
        """values() as a cluster manager writes them."""
        values = self.values(action, plug)
        return "".join(f"{name}={value}\n" for name, value in values.items()).encode()

    def commands(self) -> int:
        """How many SCSI commands the last action says that it took."""
        found = re.findall(r": (\d+) SCSI commands", self.log.read_text())
        return int(found[-1])
