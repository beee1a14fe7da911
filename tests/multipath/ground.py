"""Two nodes over two fabrics with dm-multipath: joined, written to, hurt, and put right again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from ..cluster.blocks import Watch, Writer
from ..cluster.cluster import Cluster
from ..cluster.node import AGENT_TIMEOUT_S, Node
from ..cluster.storage import WERO
from ..lab.guest import Job, Result
from ..lab.model import TARGET
from . import multipathd

NAMES = ("n1", "n2")
SURVIVOR, VICTIM = NAMES
FABRICS = ("san0", "san1")
# Set (to a number of fences in the moment of path loss) by `make paths`, which tries everything.
ROUNDS_VARIABLE = "PRBARRIER_PATH_ROUNDS"
WHOLE = ROUNDS_VARIABLE in os.environ
THREADS = 2
# So that two cores suffice for all guests.
PAUSE_S = 0.01
REGION_BYTES = 1 << 18
GOES_ON_S = 30.0
LOGIN_TIMEOUT_S = 60
RESOURCE = "/usr/lib/ocf/resource.d/fence_prbarrier/prbarrier"
# LIO asks the initiator's name only whether a nexus may write, not for its ISID: a nexus that
# is new to it, as it would be to a target that keeps to the standard, is one of another name.
RELOGIN = """
set -e
iscsiadm -m node -p {portal} -u
sed -i -E 's/^(iface.initiatorname = .*:).*$/\\1{name}/' \
    /etc/iscsi/nodes/{target}/{portal},3260 /etc/iscsi/ifaces/{segment}
iscsiadm -m node -p {portal} -l
"""
SHOWN = "cd /sys/kernel/config/target/core/fileio_{lun}/{name}/pr && cat {what}"


class Nexuses(NamedTuple):
    """On how many nexuses a LU bears each node's key, and the reservation."""

    keys: dict[str, int]
    type: str


class Ground:
    """The lab: a storage and two nodes."""

    def __init__(self, cluster: Cluster) -> None:
        """Take a cluster that has booted."""
        self.cluster = cluster
        self.storage = cluster.storage
        self.luns = [u.index for u in cluster.storage.units]
        self._renamed: set[tuple[str, str]] = set()

    def node(self, name: str) -> Node:
        """Return a node by its name."""
        return self.cluster.node(name)

    # -- the agent ------------------------------------------------------------------------

    def devices(self, name: str) -> str:
        """Return what the agent of a node is told of: the maps."""
        known = multipathd.maps(self.node(name)).values()
        return ",".join(sorted(each.mapper for each in known))

    def begin(self, name: str, action: str, plug: str = "", **options: object) -> Job:
        """Start the agent on a node."""
        values: dict[str, object] = {"devices": self.devices(name), **options}
        return self.node(name).start_agent(action, plug, **values)

    def agent(self, name: str, action: str, plug: str = "", **options: object) -> Result:
        """Run the agent on a node."""
        return self.begin(name, action, plug, **options).wait(AGENT_TIMEOUT_S)

    def resource(self, name: str, action: str, **options: object) -> Result:
        """Run the resource agent on a node, as Pacemaker does."""
        values = {"devices": self.devices(name), **options}
        words = [f"OCF_RESKEY_{key}={shlex.quote(str(value))}" for key, value in values.items()]
        words += ["OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_INSTANCE=barrier", RESOURCE, action]
        return self.node(name).sh(" ".join(words), timeout=AGENT_TIMEOUT_S)

    def join(self, name: str) -> None:
        """Have a node join, evicted or not, without a reboot."""
        said = self.agent(name, "on", name, rejoin="allow")
        assert said.code == 0, said

    # -- what the target says ---------------------------------------------------------------

    def nexuses(self) -> list[Nexuses]:
        """Return what each LU bears, as its target says."""
        found = []
        for lun in self.luns:
            bears = self.storage.bears(lun)
            found.append(Nexuses({n: len(keys) for n, keys in bears.keys.items()}, bears.type))
        return found

    def joined(self, names: Sequence[str] = NAMES) -> bool:
        """Whether each LU bears a key of each of these nodes, and of nobody else, on both nexuses.

        And one key only of each node, under one reservation of type 5.
        """
        wanted = dict.fromkeys(names, len(FABRICS))
        if any(found != Nexuses(wanted, WERO) for found in self.nexuses()):
            return False
        return all(self.storage.bears(lun).key(n) is not None for lun in self.luns for n in names)

    def pr(self, what: str, lun: int = 0) -> str:
        """Return what LIO shows of a LU's persistent reservations: 'res_pr_generation', say."""
        (unit,) = [u for u in self.storage.units if u.index == lun]
        return self.storage.ok(SHOWN.format(lun=lun, name=unit.name, what=what)).strip()

    def generations(self) -> list[str]:
        """Return what counts every change of a registration, for each LU."""
        return [self.pr("res_pr_generation", lun) for lun in self.luns]

    # -- paths ------------------------------------------------------------------------------

    def lose(self, name: str, segment: str) -> None:
        """Cut a node off a fabric; wait until its multipathd has noticed."""
        self.node(name).cut(segment)
        multipathd.await_lost(self.node(name), len(self.luns))

    def mend(self) -> None:
        """Mend every fabric; wait until all paths are back in the maps."""
        for machine in self.cluster.machines():
            for segment in machine.cut_off:
                machine.mend(segment)
        self.cluster.each(multipathd.await_maps, self.cluster.nodes.values())

    def relogin(self, name: str, segment: str, initiator: str = "") -> None:
        """Log out and in again through a fabric, perhaps under another initiator's name."""
        portal = dict(zip(self.storage.segments, self.storage.portals()))[segment]
        words = {"portal": portal, "target": TARGET, "segment": segment}
        (self._renamed.add if initiator else self._renamed.discard)((name, segment))
        script = RELOGIN.format(name=initiator or name, **words)
        self.node(name).ok(script, timeout=LOGIN_TIMEOUT_S)

    def restore(self) -> None:
        """Put everything right: all paths, maps by the usual configuration, both nodes joined."""
        for name, segment in sorted(self._renamed):
            self.relogin(name, segment)
        self.mend()
        for name in NAMES:
            if self.node(name).files[multipathd.CONF] != multipathd.conf():
                multipathd.restart(self.node(name))
        for name in NAMES:
            if not all(name in found.keys for found in self.nexuses()):
                self.join(name)  # whoever evicts must have joined
        wanted = dict.fromkeys(NAMES, len(FABRICS))
        for name, other in (NAMES, NAMES[::-1]):
            left = [self._of(name, found.keys) for found in self.nexuses()]
            if any(keys != self._of(name, wanted) for keys in left):
                # Whatever else it has registered goes with the key.
                said = self.agent(other, "off", name)
                assert said.code == 0, said
                self.join(name)
        assert self.joined(), self.nexuses()

    @staticmethod
    def _of(name: str, keys: dict[str, int]) -> dict[str, int]:
        """Return the registrations of one node, under whatever initiator's name."""
        return {who: count for who, count in keys.items() if who.startswith(name)}

    # -- writers ----------------------------------------------------------------------------

    def write(self, name: str) -> list[Writer]:
        """Start a writer to each LU of a node, through its map."""
        node = self.node(name)
        return [
            Writer(
                node,
                lun,
                threads=THREADS,
                region=REGION_BYTES,
                device=multipathd.map_of(node, lun).mapper,
                pause_s=PAUSE_S,
            )
            for lun in self.luns
        ]

    def watch(self, name: str, writers: Sequence[Writer]) -> list[Watch]:
        """Watch on a node what writers write."""
        node = self.node(name)
        return [Watch(node, w, multipathd.map_of(node, w.lun).mapper) for w in writers]

    def await_progress(self, writers: Sequence[Writer]) -> None:
        """Wait until each thread of each writer has had another write acknowledged."""
        for writer in writers:
            before = writer.acknowledged
            self.cluster.wait_for(
                lambda w=writer, b=before: _all_grew(b, w.acknowledged),  # type: ignore[misc]
                GOES_ON_S,
                f"{writer.node.name} to go on writing",
            )

    def end_calmly(self, writers: Sequence[Writer]) -> None:
        """End writers that must not have seen any error, and must be able to write still."""
        self.await_progress(writers)
        for writer in writers:
            writer.stop()
            assert writer.first_error() is None


def _all_grew(before: Sequence[int], now: Sequence[int]) -> bool:
    return all(new > old for old, new in zip(before, now))


def errors(writer: Writer) -> int:
    """Return how many writes have failed so far."""
    return int(writer.of("acks")[-1]["errors"])


def build(cluster: Cluster) -> Ground:
    """Start multipathd on the nodes of a cluster that has booted, and have them join."""
    ground = Ground(cluster)
    cluster.each(multipathd.start, cluster.nodes.values())
    for name in NAMES:
        ground.join(name)
    return ground


def prepare() -> Cluster:
    """Return a cluster for `build`, before it boots."""
    cluster = Cluster(nodes=NAMES, fabrics=len(FABRICS), started=False)
    for node in cluster.nodes.values():
        node.iscsi.update(multipathd.ISCSI)
        node.files[multipathd.CONF] = multipathd.conf()
    return cluster
