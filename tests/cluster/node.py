"""A cluster node: initiator, corosync, Pacemaker, and the agent as users install it."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable

from ..lab.guest import Job, LabError, Result
from ..lab.model import TARGET, ScsiPath, typed_paths
from .machine import SETUP_TIMEOUT_S, Machine
from .pacemaker import first_cib
from .premises import Premises
from .storage import Storage, initiator_name

CLUSTER_SEGMENT = "cluster"
# Seconds; open-iscsi's own defaults.
ISCSI: dict[str, object] = {
    "node.session.timeo.replacement_timeout": 120,
    "node.conn[0].timeo.noop_out_interval": 5,
    "node.conn[0].timeo.noop_out_timeout": 5,
}
AGENT_TIMEOUT_S = 80.0
DISK_BYTES = 64 << 20
DISK_TIMEOUT_S = 20
DEVICES_TIMEOUT_S = 60.0
DAEMON_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 120.0
PACEMAKER_LOG = "/var/log/pacemaker/pacemaker.log"
COROSYNC_LOG = "/var/log/cluster/corosync.log"

# Logs lie on the host and are written through, so that they outlive a node's sudden end.
# Of a node's own disk the cluster's state is all that is real: the rest is new at every boot.
PREPARE = """
for log in cluster pacemaker; do
    mkdir -p /var/log/$log
    mount -t hostfs none /var/log/$log -o sync,{logs}/$log
done
mkdir -p /disk /run/resource-agents
mount -t ext4 /dev/ubda /disk
if [ ! -d /disk/pacemaker ]; then
    mkdir -p /disk/corosync /disk/pacemaker/{{blackbox,cib,cores,pengine}}
    cp /lab/cib.xml /disk/pacemaker/cib/cib.xml
    chmod 0600 /disk/pacemaker/cib/cib.xml
    chmod 0750 /disk/pacemaker/*
    chown -R hacluster:haclient /disk/pacemaker/*
fi
for state in corosync pacemaker; do
    mkdir -p /var/lib/$state
    mount --bind /disk/$state /var/lib/$state
done
chmod 1755 /run/resource-agents
mkdir -p -m 0770 /run/crm /var/log/pacemaker/bundles
chown hacluster:haclient /run/crm /var/log/pacemaker
cp -a {stage}/. /
/lib/systemd/systemd-udevd --daemon >/dev/null 2>&1
modprobe -a iscsi_tcp sd_mod sg
iscsid
"""

LOGIN = """
iscsiadm -m node --login
udevadm settle --timeout=30
"""

START_COROSYNC = """
export TZ=UTC
pidof corosync >/dev/null || corosync
for try in $(seq 100); do
    corosync-quorumtool -s >/dev/null 2>&1
    case $? in 0|1|2) exit 0 ;; esac
    sleep 0.1
done
exit 1
"""

START_PACEMAKER = """
export TZ=UTC PCMK_logfile={log} PCMK_logfacility=none {environment}
setsid pacemakerd </dev/null >>/var/log/pacemaker/pacemakerd.out 2>&1 &
"""

STOP = """
pid=$(pidof {daemon}) || exit 0
kill -TERM $pid
for try in $(seq {tenths}); do
    [ -d /proc/${{pid%% *}} ] || exit 0
    sleep 0.1
done
exit 1
"""


class Node(Machine):
    """One of n1, n2, n3. The first network is the cluster's, the others are the storage's."""

    def __init__(
        self, premises: Premises, name: str, number: int, storage: Storage, memory_mb: int
    ) -> None:
        """Prepare; `number` is the corosync nodeid.

        `files` (path -> text) are written at every boot, `properties` and
        `resources` (XML) are the cluster's before anybody has configured anything.
        """
        super().__init__(premises, name, number, [CLUSTER_SEGMENT, *storage.segments], memory_mb)
        self.storage = storage
        self.stage = Path()
        self.corosync_conf: Callable[[Node], str] = lambda node: ""
        self.environment: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self.properties: dict[str, object] = {}
        self.resources = ""
        self.iscsi = dict(ISCSI)

    # -- boot ---------------------------------------------------------------------------

    def power_on(self) -> None:
        """Boot a kernel; the node's own disk is made at the first boot."""
        disk = self.premises.folder / f"disk-{self.name}"
        if not disk.exists():
            with open(disk, "wb") as file:
                file.truncate(DISK_BYTES)
            subprocess.run(["mkfs.ext4", "-q", "-F", disk], check=True, timeout=DISK_TIMEOUT_S)
        self.words = [f"ubd0={disk}"]
        super().power_on()

    def set_up(self) -> None:
        """Install the agent, log in to the storage; the cluster is `start`ed separately."""
        super().set_up()
        for log in ("cluster", "pacemaker"):
            (self.logs / log).mkdir(exist_ok=True)
        script = PREPARE.format(logs=self.logs, stage=self.stage)
        self.guest.share("cib.xml", first_cib(self.properties, self.resources))
        files = {"/etc/corosync/corosync.conf": self.corosync_conf(self), **self._iscsi_files()}
        files.update(self.files)
        for path, text in files.items():
            quoted = shlex.quote(path)
            script += f"mkdir -p $(dirname {quoted})\ncat >{quoted} <<'END'\n{text}\nEND\n"
        self.ok(f"set -e\n{script}\n{LOGIN}", timeout=SETUP_TIMEOUT_S)
        self.await_devices()

    def _iscsi_files(self) -> dict[str, str]:
        """The initiator's records, by path; an interface for each storage network.

        Writing them by hand saves a dozen runs of iscsiadm, about 2 s.
        """
        name = initiator_name(self.name)
        files = {
            "/etc/iscsi/iscsid.conf": "node.startup = manual",
            "/etc/iscsi/initiatorname.iscsi": f"InitiatorName={name}",
        }
        for segment, portal in zip(self.storage.segments, self.storage.portals()):
            interface = [
                f"iface.iscsi_ifacename = {segment}",
                "iface.transport_name = tcp",
                f"iface.initiatorname = {name}",
            ]
            record = [f"node.name = {TARGET}", "node.tpgt = -1", "node.startup = manual"]
            record += [*interface, *(f"{key} = {value}" for key, value in self.iscsi.items())]
            record += [f"node.conn[0].address = {portal}", "node.conn[0].port = 3260"]
            files[f"/etc/iscsi/ifaces/{segment}"] = _record(interface)
            files[f"/etc/iscsi/nodes/{TARGET}/{portal},3260"] = _record(record)
        return files

    # -- disks --------------------------------------------------------------------------

    def await_devices(self, timeout: float = DEVICES_TIMEOUT_S) -> list[ScsiPath]:
        """Wait until every LU is there and running, on every storage network not cut."""
        return typed_paths(
            self.call(
                "wait_devices",
                timeout=timeout + 5,
                ifaces=[s for s in self.storage.segments if s not in self.cut_off],
                luns=[u.index for u in self.storage.units],
                seconds=timeout,
            )
        )

    def paths(self) -> list[ScsiPath]:
        """Return this node's paths as they are at the moment; `iface` is the network's name."""
        return typed_paths(self.call("devices"))

    def path(self, lun: int = 0, segment: str | None = None) -> ScsiPath:
        """Return the path to a LU through a storage network, by default the first."""
        wanted = (segment or self.storage.segments[0], lun)
        for path in self.paths():
            if (path.iface, path.lun) == wanted:
                return path
        raise LabError(f"{self.name} has no path to LU {lun} through {wanted[0]}")

    def dev(self, lun: int = 0, segment: str | None = None) -> str:
        """Return the block node of a path: '/dev/sdb'."""
        return self.path(lun, segment).block

    def sg(self, lun: int = 0, segment: str | None = None) -> str:
        """Return the sg node of a path: '/dev/sg1'."""
        return self.path(lun, segment).sg

    def start_agent(self, action: str, plug: str = "", **options: object) -> Job:
        """Start the installed agent by hand, as a cluster manager would, on all LUs."""
        devices = ",".join(by_id(u.serial) for u in self.storage.units)
        values = {"action": action, "plug": plug, "devices": devices, **options}
        stdin = "".join(f"{name}={value}\n" for name, value in values.items())
        return self.spawn("fence_prbarrier", stdin)

    def agent(
        self, action: str, plug: str = "", timeout: float = AGENT_TIMEOUT_S, **options: object
    ) -> Result:
        """Run the agent by hand, to its end."""
        return self.start_agent(action, plug, **options).wait(timeout)

    def rescan(self) -> None:
        """Find LUs that have been added."""
        self.ok("iscsiadm -m session --rescan; udevadm settle", timeout=60)
        self.await_devices()

    def forget(self, lun: int) -> None:
        """Delete all devices of a LU that is about to go away."""
        for path in self.paths():
            if path.lun == lun:
                self.ok(f"echo 1 >/sys/class/scsi_device/{path.address}/device/delete")

    # -- cluster ------------------------------------------------------------------------

    def start(self) -> None:
        """Start corosync and Pacemaker; does not wait for the cluster."""
        self.start_corosync()
        self.start_pacemaker()

    def start_corosync(self) -> None:
        """Start corosync."""
        self.ok(START_COROSYNC, timeout=DAEMON_TIMEOUT_S)

    def start_pacemaker(self) -> None:
        """Start Pacemaker; the shutdown before, if there was one, is forgotten."""
        environment = " ".join(f"{k}={shlex.quote(v)}" for k, v in self.environment.items())
        self.ok(START_PACEMAKER.format(log=PACEMAKER_LOG, environment=environment))

    def stop_pacemaker(self, timeout: float = STOP_TIMEOUT_S) -> None:
        """Stop Pacemaker in order: resources first."""
        self._stop("pacemakerd", timeout)

    def stop_corosync(self, timeout: float = STOP_TIMEOUT_S) -> None:
        """Stop corosync."""
        self._stop("corosync", timeout)

    def _stop(self, daemon: str, timeout: float) -> None:
        script = STOP.format(daemon=daemon, tenths=int(timeout * 10))
        self.ok(script, timeout=2 * timeout)  # a sleep of a tenth takes longer here

    @property
    def running(self) -> bool:
        """Whether Pacemaker and corosync run."""
        return self.responsive and self.sh("pidof pacemakerd && pidof corosync").code == 0

    def log(self, name: str = "pacemaker") -> str:
        """Return a daemon's log ('pacemaker', 'corosync'), over all boots of the node."""
        folder = "cluster" if name == "corosync" else name
        path = self.logs / folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""


def _record(lines: Sequence[str]) -> str:
    return "\n".join(["# BEGIN RECORD 2.1.8", *lines, "# END RECORD"])


def by_id(serial: str) -> str:
    """Return the link that udev makes for a LU of LIO, the same on every node.

    The NAA designator: LIO's vendor id, then the first 25 digits of the serial.
    """
    return f"/dev/disk/by-id/wwn-0x6001405{serial[:25]}"


def corosync_conf(name: str, members: Mapping[str, tuple[int, str]], totem: str = "") -> str:
    """Return a corosync.conf; `members`: name -> (nodeid, address)."""
    nodes = "\n".join(
        f"    node {{\n        ring0_addr: {address}\n        name: {member}\n"
        f"        nodeid: {number}\n    }}"
        for member, (number, address) in members.items()
    )
    two = "\n    two_node: 1" if len(members) == 2 else ""
    return f"""totem {{
    version: 2
    cluster_name: {name}
    transport: udpu
    crypto_cipher: none
    crypto_hash: none
    {totem}
}}
nodelist {{
{nodes}
}}
quorum {{
    provider: corosync_votequorum{two}
}}
logging {{
    to_logfile: yes
    logfile: {COROSYNC_LOG}
    to_syslog: no
    timestamp: hires
}}"""
