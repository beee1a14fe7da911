"""What the cluster can be asked, and waited for."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Callable, TypeVar

from ..lab.guest import LabError
from . import pacemaker
from .fencing import Fencing, fencings
from .node import Node, by_id
from .storage import WERO, Storage

T = TypeVar("T")

ONLINE_TIMEOUT_S = 90.0
FENCE_TIMEOUT_S = 120.0
POLL_S = 0.3


class View:
    """Questions to the nodes and the storage; changes nothing."""

    nodes: dict[str, Node]
    storage: Storage

    def node(self, name: str) -> Node:
        """Return a node by its name."""
        return self.nodes[name]

    def responsive(self) -> list[Node]:
        """Return the nodes that are on, not frozen and not cut off."""
        return [n for n in self.nodes.values() if n.responsive and not n.cut_off]

    def _speaker(self, via: str | None) -> Node:
        if via is not None:
            return self.node(via)
        able = self.responsive()
        if not able:
            raise LabError("no node can be asked")
        return able[0]

    def devices(self) -> list[str]:
        """Return the by-id links of all LUs, the same on every node."""
        return [by_id(u.serial) for u in self.storage.units]

    def crm_mon(self, options: str = "-1rnf", via: str | None = None) -> str:
        """Return what crm_mon prints for people, on a node that can be asked or on `via`."""
        return self._speaker(via).ok(f"crm_mon {options}")

    def status(self, via: str | None = None) -> pacemaker.Status:
        """Return what crm_mon says, as values; LabError while it has nothing to say."""
        said = self._speaker(via).sh("crm_mon -1 -r -m2 --output-as=xml 2>/dev/null")
        if said.code != 0:
            raise LabError(f"crm_mon: {said}")
        return pacemaker.parse(said.output)

    def history(self, victim: str, via: str | None = None) -> str:
        """Return what stonith_admin knows of a node's fencings."""
        return self._speaker(via).ok(f"stonith_admin -H {victim} -V")

    def fencings(self, victim: str, after: float) -> list[Fencing]:
        """Return a node's evictions since a moment, as the other nodes' logs tell them."""
        logs = {node.name: node.log() for node in self.nodes.values() if node.name != victim}
        return [one for one in fencings(logs, victim, after) if one.action != "on"]

    def await_fenced(self, victim: str, after: float, timeout: float = FENCE_TIMEOUT_S) -> Fencing:
        """Wait until a node has been declared fenced, after a moment (of time.time())."""
        what = f"{victim} to be declared fenced"
        self.wait_for(lambda: self.fencings(victim, after), timeout, what)
        # Again: the logs were read one after the other, the agent's end perhaps too early.
        return self.fencings(victim, after)[0]

    def wait_for(self, predicate: Callable[[], T], timeout: float, what: str = "it to happen") -> T:
        """Wait until a predicate holds, and return it; a LabError inside counts as not yet."""
        deadline = time.monotonic() + timeout
        while True:
            said = "false"
            try:
                value = predicate()
                if value:
                    return value
            except LabError as error:
                said = str(error)
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {timeout} s in vain for {what}; last: {said}")
            time.sleep(POLL_S)

    def await_online(self, names: Iterable[str], timeout: float = ONLINE_TIMEOUT_S) -> None:
        """Wait until nodes are online, and every one of them sees it so."""
        wanted = set(names)

        def seen_by_all() -> bool:
            return all(wanted <= set(self.status(name).online()) for name in sorted(wanted))

        self.wait_for(seen_by_all, timeout, f"{sorted(wanted)} to be online in everyone's eyes")

    def await_joined(self, names: Iterable[str], timeout: float = ONLINE_TIMEOUT_S) -> None:
        """Wait until nodes bear their keys on every LU, the fence device runs, and all is quiet.

        The keys are there a little before Pacemaker knows: a node that dies in
        between is fenced only once its unfencing has timed out.
        """
        self.wait_for(lambda: self.joined(names), timeout, f"{list(names)} to be unfenced")
        self.wait_for(lambda: self.status().where("fence"), timeout, "the fence device to run")
        self.await_idle(timeout)

    def await_idle(self, timeout: float = ONLINE_TIMEOUT_S) -> None:
        """Wait until the cluster has nothing left to do or to wait for."""
        self.wait_for(self._idle, timeout, "the cluster to have nothing left to do")

    def _idle(self) -> bool:
        coordinator = self.status().coordinator
        said = self._speaker(None).sh(f"crmadmin -S {coordinator}") if coordinator else None
        return said is not None and said.code == 0 and "S_IDLE" in said.output

    def joined(self, names: Iterable[str]) -> bool:
        """Whether all these nodes are registered on every LU, under one reservation of type 5."""
        for u in self.storage.units:
            bears = self.storage.bears(u.index)
            if bears.type != WERO or any(bears.key(name) is None for name in names):
                return False
        return True
