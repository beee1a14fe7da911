"""A storage whose writes are late, a survivor and a victim in kernels of their own.

What the victim has in flight is held up below the target (dm-delay below iblock).
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Callable, NamedTuple, TypeVar

from ..cluster.cluster import Cluster
from ..cluster.node import Node
from ..lab.guest import Job, LabError, Result
from ..lab.model import MIB, Reply, unit

T = TypeVar("T")

SURVIVOR, VICTIM = NAMES = ("n1", "n2")
LUN = 0
DELAY_MS = 3000
# After so long whatever was in flight has arrived: the delay, the reconnect of a host that
# was thawed, and what it sends again.
LATE_S = DELAY_MS / 1000 + 5
BEGIN_TIMEOUT_S = 20.0
END_TIMEOUT_S = 150.0
DISK = "/run/lab/disks/disk0"
COPY = "/run/lab/copy"
BURST = "inguest_burst.py"
# Writes, and flushes, that dm-delay holds (drivers/md/dm-delay.c, delay_status).
HELD = "dmsetup status lab-disk0"


class Load(NamedTuple):
    """So many writes of so many bytes, in flight when the store holds ``held`` of them.

    ``slow``: the victim's network is, so that others are still being sent.
    """

    number: int
    size: int
    held: int
    slow: bool

    def __str__(self) -> str:
        kib = self.size / 1024
        return f"{self.number} x {kib:g} KiB"


# All data with the command; or asked for burst by burst (R2T), and some still to come.
SMALL, LARGE = Load(64, 4096, 32, False), Load(16, MIB, 1, True)
SLOW = "modprobe sch_netem && tc qdisc add dev vec1 root netem rate 20mbit"
FAST = "tc qdisc del dev vec1 root"


class Ground:
    """The lab: a storage, a survivor and a victim."""

    def __init__(self, cluster: Cluster) -> None:
        """Take a cluster that has booted."""
        self.cluster = cluster
        self.storage = cluster.storage
        (self.unit,) = self.storage.units
        self._words = itertools.count()

    @property
    def survivor(self) -> Node:
        """The node that fences."""
        return self.cluster.node(SURVIVOR)

    @property
    def victim(self) -> Node:
        """The node that is fenced."""
        return self.cluster.node(VICTIM)

    # -- before the strike --------------------------------------------------------------

    def prepare(self, holder: str) -> None:
        """Everybody alive and joined, ``holder`` first, so that it holds the reservation."""
        self.delay(0)
        if self.victim.frozen:
            self.victim.thaw()
        if not self.victim.on:
            self.victim.boot()
        for node in (self.survivor, self.victim):
            node.await_devices()
            complaints = node.call("sweep", timeout=60, units=[[node.dev(LUN)]])
            if complaints:
                raise LabError(f"cannot clear: {complaints}")
        for name in sorted(NAMES, key=lambda name: name != holder):
            said = self.cluster.node(name).agent("on", name, rejoin="allow")
            if said.code != 0:
                raise LabError(f"{name} cannot join: {said}")
        if self.storage.bears(LUN).holder != holder:
            raise LabError(f"{holder} does not hold: {self.storage.bears(LUN)}")

    def delay(self, write_ms: int) -> None:
        """Hold writes up from now on, and those that are on their way no longer."""
        self.storage.set_delay(self.unit, write_ms)

    def burst(self, load: Load) -> Job:
        """Have the victim begin to write; return when the store holds as much up as wanted."""
        if load.slow:
            self.victim.ok(SLOW)
        job = self.start(load)
        self.storage.wait_for(lambda: self.held() >= load.held, BEGIN_TIMEOUT_S, "writes in flight")
        return job

    def start(self, load: Load) -> Job:
        """Have the victim begin to write what was never written before; return at once."""
        victim, word = self.victim, f"late-{next(self._words)}"
        victim.guest.share(BURST, (Path(__file__).parent / BURST).read_bytes())
        words = ["/usr/bin/python3", f"/lab/{BURST}", victim.dev(LUN)]
        return victim.spawn(" ".join([*words, str(load.number), str(load.size), word]))

    def held(self) -> int:
        """Return how many writes the store holds up at the moment."""
        return int(self.storage.ok(HELD).split()[4])

    def make(self, state: str) -> None:
        """Let the victim be alive, frozen or dead from now on."""
        if state == "frozen":
            self.victim.freeze()
        elif state == "dead":
            self.victim.kill()

    # -- the strike -----------------------------------------------------------------------

    def fence(self, **options: object) -> Result:
        """Run the agent's `off` on the survivor."""
        return self.survivor.agent("off", VICTIM, timeout=END_TIMEOUT_S, **options)

    def scsi(self, cdb: bytes, out: bytes = b"", timeout: float = 60.0) -> Reply:
        """Send one command of the survivor, with nothing of the product in between."""
        said = self.survivor.call(
            "scsi",
            timeout=END_TIMEOUT_S,
            node=self.survivor.sg(LUN),
            cdb=cdb.hex(),
            out=out.hex(),
            timeout_ms=int(timeout * 1000),
        )
        return Reply.of(said)

    def reset(self) -> tuple[str, float]:
        """LU reset by the survivor: the error's name or '', and seconds."""
        nodes = [self.survivor.sg(LUN)]
        (said,) = self.survivor.call("reset", timeout=END_TIMEOUT_S, nodes=nodes)
        return said["errno"], said["seconds"]

    # -- after it -------------------------------------------------------------------------

    def keep(self) -> None:
        """Copy the medium, below the target."""
        self.storage.ok(f"cp {DISK} {COPY}")

    def digest(self, load: Load) -> str:
        """Return a digest of what the survivor reads, through the target, where a load writes."""
        size, count = min(load.size * load.number, MIB), -(-load.size * load.number // MIB)
        blocks = f"bs={size} count={count} iflag=direct status=none"
        said = self.survivor.ok(f"dd if={self.survivor.dev(LUN)} {blocks} | md5sum", timeout=90)
        return said.split()[0]

    def changed(self) -> int:
        """Return how many bytes of the medium are not as they were when it was copied."""
        return int(self.storage.sh(f"cmp -l {DISK} {COPY} | wc -l", timeout=90).output)


class Case(NamedTuple):
    """Who holds the reservation, what becomes of the victim, and what it has in flight."""

    state: str
    holder: str
    load: Load

    def __str__(self) -> str:
        return f"{self.state}, {self.holder} holds, {self.load}"


class Came(NamedTuple):
    """What a strike came to.

    ``held``: writes that the store still held when it had ended; ``late``: bytes of
    the medium that changed after it; ``through``: whether the survivor saw them change;
    ``first``, ``then``: the ends of the victim's writes, those in flight and those
    that it began afterwards ('' of a dead one).
    """

    seconds: float
    held: int
    late: int
    through: bool
    first: str
    then: str


def strike(ground: Ground, case: Case, how: Callable[[], T]) -> tuple[T, Came]:
    """Strike with writes in flight; what came of the strike, and of the writes."""
    ground.prepare(case.holder)
    ground.delay(DELAY_MS)
    job = ground.burst(case.load)
    ground.make(case.state)
    began = time.monotonic()
    said = how()
    seconds = time.monotonic() - began
    held = ground.held()
    ground.keep()
    before, ended = ground.digest(case.load), time.monotonic()
    first = then = ""
    if ground.victim.frozen:
        ground.victim.thaw()
    if ground.victim.on:
        if case.load.slow:
            ground.victim.ok(FAST)
        first = _ends(job)
        then = _ends(ground.start(SMALL))
    time.sleep(max(0.0, ended + LATE_S - time.monotonic()))
    through = ground.digest(case.load) != before
    return said, Came(seconds, held, ground.changed(), through, first, then)


def _ends(job: Job) -> str:
    return ", ".join(job.wait(END_TIMEOUT_S).output.splitlines())


def cluster() -> Cluster:
    """Return the machines, before they boot."""
    return Cluster(nodes=NAMES, units=[unit(LUN, 32, delay_ms=0)], started=False)
