"""The cluster as a whole: boot it, configure it, watch it, hurt it, put it right, end it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import Callable, TypeVar

from ..lab.guest import LabError
from ..lab.model import Unit, unit
from .configuration import Configuration
from .install import install
from .machine import Machine
from .node import CLUSTER_SEGMENT, Node, corosync_conf
from .premises import Premises
from .storage import Storage, initiator_name
from .view import FENCE_TIMEOUT_S, ONLINE_TIMEOUT_S

T = TypeVar("T")
M = TypeVar("M")

# How long a starting controller waits for a DC before it calls an election; 20 by default.
DC_DEADTIME_S = 2
DEVICES_TIMEOUT_S = 15.0
NODES = ("n1", "n2", "n3")
STRANGER = ("other", 9)


class Cluster(Configuration):
    """Storage and nodes n1, n2, n3, a kernel each, on networks of their own.

    `with Cluster() as cluster:` boots the machines and, unless `started=False`,
    starts corosync and Pacemaker and waits until all nodes are online. Nothing
    is configured until `configure_stonith` is called.
    """

    def __init__(
        self,
        nodes: Sequence[str] = NODES,
        units: int | Sequence[Unit] = 2,
        name: str = "lab",
        *,
        fabrics: int = 1,
        started: bool = True,
        memory_mb: int = 512,
        keep_logs: Path | None = None,
    ) -> None:
        """Prepare. Each of `fabrics` storage networks is one more path to every LU.

        `keep_logs` is the folder to copy all logs to when the `with` ends by an exception.
        """
        san = [f"san{index}" for index in range(fabrics)]
        self.name = name
        self.totem = ""
        self.keep_logs = keep_logs
        self.premises = Premises([CLUSTER_SEGMENT, *san])
        made = [unit(i) for i in range(units)] if isinstance(units, int) else list(units)
        self.storage = Storage(self.premises, san, made, memory_mb)
        self.storage.known = [initiator_name(node) for node in nodes]
        self._units = list(made)
        self.nodes = {
            node: Node(self.premises, node, number, self.storage, memory_mb)
            for number, node in enumerate(nodes, 1)
        }
        for node in self.nodes.values():
            node.corosync_conf = lambda _: self.corosync_conf()
            node.properties = {"dc-deadtime": f"{DC_DEADTIME_S}s"}
        self.strangers: list[Node] = []
        self._memory_mb = memory_mb
        self._started = started
        self._threads = ThreadPoolExecutor(16)

    # -- life ---------------------------------------------------------------------------

    def __enter__(self) -> Cluster:
        try:
            self.boot()
            if self._started:
                self.start()
        except BaseException as error:
            self._abandon(error)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._abandon(value)

    def _abandon(self, error: BaseException | None) -> None:
        """End; keep the logs if it is because of an error."""
        try:
            if error is not None and self.keep_logs is not None:
                with contextlib.suppress(LabError):  # it has not come as far as logs
                    self.logs(self.keep_logs)
        finally:
            self.end()

    def boot(self) -> None:
        """Boot all machines, two cores' worth at a time being the kernel's business."""
        self.premises.start()
        stage = self.premises.folder / "stage"
        stage.mkdir()
        install(stage)
        for node in self.nodes.values():
            node.stage = stage
        self.each(lambda machine: machine.power_on(), self.machines())
        self.storage.set_up()
        self.each(lambda node: node.set_up(), self.nodes.values())

    def end(self) -> None:
        """Pull every plug and give everything back."""
        self._kill_all()
        # What still waits for a guest finds that it is gone; what boots one boots it in vain.
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._kill_all()
        self.premises.end()

    def _kill_all(self) -> None:
        for machine in self.machines():
            if machine.on:
                with contextlib.suppress(LabError):
                    machine.kill()

    def each(self, what: Callable[[M], T], things: Iterable[M]) -> list[T]:
        """Do something with several things at once; return what came out, in order.

        All have come to their end, well or not, when it returns or raises.
        """
        futures = [self._threads.submit(what, thing) for thing in things]
        wait(futures)
        return [future.result() for future in futures]

    # -- machines -------------------------------------------------------------------------

    def machines(self) -> list[Machine]:
        """Return the storage, all nodes, and whoever else is there."""
        return [self.storage, *self.nodes.values(), *self.strangers]

    def add_stranger(self) -> Node:
        """Boot a machine that has the disks and is in no cluster; `restore` takes it away."""
        stranger = Node(self.premises, *STRANGER, self.storage, self._memory_mb)
        stranger.stage = self.nodes[NODES[0]].stage
        self.strangers.append(stranger)
        stranger.boot()
        return stranger

    def add(self, index: int, mib: int = 16, delay_ms: int | None = None) -> Unit:
        """Have the storage export one more LU, and all nodes that are on find it."""
        added = self.storage.add(index, mib, delay_ms)
        self.each(lambda node: node.rescan(), [n for n in self.nodes.values() if n.responsive])
        return added

    def remove(self, gone: Unit) -> None:
        """Take a LU away, the nodes' devices first."""
        if gone.delay_ms:
            self.storage.set_delay(gone, 0)  # else each device's last flush is late as well
        able = [node for node in self.nodes.values() if node.responsive]
        self.each(lambda node: node.forget(gone.index), able)
        self.storage.remove(gone)

    def corosync_conf(self) -> str:
        """Return every node's corosync.conf; `name` and `totem` (more lines) go into it."""
        members = {n.name: (n.number, n.address(CLUSTER_SEGMENT)) for n in self.nodes.values()}
        return corosync_conf(self.name, members, self.totem)

    # -- corosync and Pacemaker -----------------------------------------------------------

    def start(self, nodes: Sequence[str] | None = None, timeout: float = ONLINE_TIMEOUT_S) -> None:
        """Start corosync, then Pacemaker, on the nodes; wait until these are online."""
        names = list(self.nodes) if nodes is None else list(nodes)
        self.each(lambda name: self.node(name).start(), names)
        self.await_online(names, timeout)

    def stop(self, nodes: Sequence[str] | None = None) -> None:
        """Stop in order, Pacemaker everywhere before corosync anywhere."""
        names = list(self.nodes) if nodes is None else list(nodes)
        self.each(lambda name: self.node(name).stop_pacemaker(), names)
        self.each(lambda name: self.node(name).stop_corosync(), names)

    def restore(self) -> None:
        """Put everything right: all thawed, mended, on, online and joined; see `clear`.

        A node that has lost its key, or its cluster, is switched off and on.
        LUs and machines that have been added are removed.
        """
        while self.strangers:
            self.strangers[-1].kill()
            self.strangers.pop()
        for machine in self.machines():
            if machine.frozen:
                machine.thaw()
            for segment in machine.cut_off:
                machine.mend(segment)
        for surplus in [u for u in self.storage.units if u not in self._units]:
            self.remove(surplus)
        nodes = list(self.nodes.values())
        right = self.each(self._is_right, nodes)
        bad = [node for node, good in zip(nodes, right) if not good]
        for node in bad:
            if node.on:
                node.kill()
        self.each(lambda node: node.boot(), bad)
        for node in bad:
            self._await_gone(node.name, [n.name for n in nodes if n not in bad])
        self.each(lambda node: node.start(), bad)
        self.await_online(self.nodes)
        self.clear()
        self.await_joined(self.nodes)

    def _is_right(self, node: Node) -> bool:
        """Whether a node is a member in good standing."""
        try:
            if node.on and self.joined([node.name]) and node.running:
                node.await_devices(DEVICES_TIMEOUT_S)
                return True
        except (LabError, AssertionError):
            pass
        return False

    def rejoin(self, name: str, timeout: float = ONLINE_TIMEOUT_S) -> None:
        """Start the cluster on a node that has booted; wait until it is online and joined.

        Not before the others are through with its last life: a node that is
        back sooner than they have fenced it is told of its own fencing, and
        Pacemaker stops there (fence-reaction). Guests boot fast enough for that.
        """
        others = [node.name for node in self.nodes.values() if node.name != name and node.running]
        self._await_gone(name, others)
        self.start([name], timeout)
        self.await_joined([name], timeout)

    def _await_gone(self, name: str, others: Sequence[str]) -> None:
        """Wait until others that can act (some, with quorum) hold a node for down and clean."""
        if not others:
            return

        def gone() -> bool:
            status = self.status(others[0])
            node = status.nodes.get(name)
            return not status.quorum or node is None or not (node.online or node.unclean)

        self.wait_for(gone, FENCE_TIMEOUT_S, f"{name} to be given up by {others[0]}")

    # -- logs -------------------------------------------------------------------------------

    def logs(self, destination: Path) -> Path:
        """Copy every machine's logs and console, and a last picture, into a folder."""
        if not self.premises.folder.name:
            raise LabError("there are no logs: nothing has been started")
        for machine in self.machines():
            machine.keep_console()
        picture = ""
        with contextlib.suppress(LabError, AssertionError):
            picture = self.crm_mon()
        for u in self.storage.units:
            with contextlib.suppress(LabError, AssertionError):
                picture += f"LU {u.index}: {self.storage.bears(u.index)}\n"
        destination.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError, shutil.Error):  # files come and go
            shutil.copytree(self.premises.folder / "logs", destination, dirs_exist_ok=True)
        (destination / "picture.txt").write_text(picture)
        return destination
