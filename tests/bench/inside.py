"""An action in this very process, to see what a process does not tell of itself."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from fence_prbarrier.agent.actions import perform
from fence_prbarrier.agent.parameters import Options
from fence_prbarrier.agent.task import Task
from fence_prbarrier.cluster import build_cluster
from fence_prbarrier.simulator import store
from tests.bench.simulated import CLUSTER, LIMIT_SECONDS, Site

INQUIRY = 0x12


class Share(NamedTuple):
    """Seconds of CPU in all and in the simulator; commands in flight at most, when and after
    the devices are asked who they are.
    """

    cpu_seconds: float
    simulator_seconds: float
    most_probes: int
    most_commands: int


class Meter:
    """Stands in front of the simulated LUs."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seconds = 0.0
        self.now = 0
        self.most = {True: 0, False: 0}
        self.command = store.command

    def __call__(self, path: str, nexus: object, cdb: bytes, *rest: object) -> object:
        """store.command(), counted; CPU time of this thread alone, not what it waited."""
        probing = cdb[0] == INQUIRY
        with self.lock:
            self.now += 1
            self.most[probing] = max(self.most[probing], self.now)
        began = time.thread_time()
        try:
            return self.command(path, nexus, cdb, *rest)  # type: ignore[arg-type]
        finally:
            seconds = time.thread_time() - began
            with self.lock:
                self.now -= 1
                self.seconds += seconds


class NoPipe:
    """Nobody listens."""

    def report(self, kind: str, text: str) -> None:
        """Forget it."""


def share(site: Site, action: str, plug: str) -> Share:
    """One action, observed."""
    values = site.values(action, plug)
    cluster = build_cluster(CLUSTER, "", site.nodes)
    deadline = time.monotonic() + LIMIT_SECONDS
    task = Task(action, Options(values), cluster, site.size.local, plug, deadline)
    meter = Meter()
    store.command = meter  # type: ignore[assignment]
    try:
        began = time.process_time()
        answer = perform(task, NoPipe(), details=False)  # type: ignore[arg-type]
        cpu = time.process_time() - began
    finally:
        store.command = meter.command
    if answer.err:
        raise RuntimeError(answer.err[0])
    return Share(cpu, meter.seconds, meter.most[True], meter.most[False])
