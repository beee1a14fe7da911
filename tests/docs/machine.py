"""What the documented commands run on: a node, a configuration in a file, a cluster of one."""

from __future__ import annotations

from collections.abc import Sequence

from ..agent.stage import Result
from ..cluster import pacemaker
from ..fenced import peers
from ..fenced.node import Node, wait_for
from ..fenced.premises import PEERS_PROGRAMS, PROGRAMS, require
from . import pages

TOOLS = ("pcs", "crm", "cibadmin", "crm_attribute", "crm_resource", "crm_verify", "xmllint")
DAEMONS = ("pacemakerd", "crm_mon", "crmadmin")
WORK = "/run/docs"
CIB = f"{WORK}/cib.xml"
# /etc is not the node's own; the check is run from here.
WATCHDOG = f"{WORK}/watchdog.d"
MEMBERS = {"n1": 1, "n2": 2, "n3": 3}
LOG = "/var/log/pacemaker/pacemaker.log"
SETTLE_S = 60.0
# With it n1 has quorum although n2 has never been seen.
ALONE = "    two_node: 1\n    wait_for_all: 0"
# pcs takes the file as an option, Pacemaker's tools and crmsh from their environment.
ON_A_FILE = 'pcs() { command pcs -f "$CIB_file" "$@"; }\n'
STATE = """
set -e
ip link set lo up
cd /var/lib/pacemaker
mkdir -p blackbox cib cores pengine /run/resource-agents /run/lock /var/log/pacemaker
cat > cib/cib.xml
chmod 0600 cib/cib.xml
chmod 0750 *
chown -R hacluster:haclient . /run/crm /var/log/pacemaker
"""


def require_tools() -> None:
    """Refuse where the tools are not there."""
    require((*PROGRAMS, *PEERS_PROGRAMS, *TOOLS, *DAEMONS))


def corosync_conf(members: Sequence[str], quorum: str = "") -> str:
    """The file of a cluster with these members."""
    addresses = {name: (MEMBERS[name], f"127.0.0.{MEMBERS[name]}") for name in members}
    return peers.corosync_conf("docs", addresses, quorum)


def prepare(node: Node) -> None:
    """Write the files that the pages show, and a corosync.conf."""
    node.path("/etc/corosync/corosync.conf").write_text(corosync_conf(list(MEMBERS)))
    node.path("/var/log/crmsh").mkdir()  # Debian's package makes it
    work = node.path(WORK)
    work.mkdir()
    for name, text in pages.files().items():
        if "/" not in name:
            (work / name).write_text(simulated(node, text))


def simulated(node: Node, text: str) -> str:
    """A text of the pages with simulated disks in place of the examples'."""
    for number, disk in enumerate(pages.DISKS):
        text = text.replace(disk, f"mock:{node.folder}/lu{number}?profile=spec")
    text = text.replace(pages.PATTERN, f"mock:{node.folder}/lu[01]?profile=spec")
    return text.replace("/etc/fence_prbarrier.devices", f"{WORK}/devices")


def shell(node: Node, script: str, **environment: str) -> Result:
    """Run commands of the pages as a person would who stops at the first error."""
    given = {"HOME": WORK, **environment}
    words = [f"{name}={value}" for name, value in given.items()]
    before = f"cd {WORK}\n" + (ON_A_FILE if "CIB_file" in given else "")
    return node.run("env", *words, "sh", "-e", "-c", before + simulated(node, script))


def agent(node: Node, action: str, plug: str = "", **options: object) -> Result:
    """Run the agent by hand on the examples' disks."""
    values = {"action": action, "plug": plug, "devices": ",".join(pages.DISKS), **options}
    stdin = "".join(f"{name}={value}\n" for name, value in values.items())
    return node.run("fence_prbarrier", stdin=simulated(node, stdin))


# --- a cluster of one --------------------------------------------------------------------------


def start_cluster(node: Node) -> None:
    """Start corosync and Pacemaker, and wait until the node is online."""
    node.path("/etc/corosync/corosync.conf").write_text(corosync_conf(["n1", "n2"], ALONE))
    first = pacemaker.first_cib({"dc-deadtime": "2s"})
    done = node.run("sh", "-c", STATE, stdin=first)
    assert done.code == 0, done
    node.start("corosync", "corosync", "-f")
    wait_for(lambda: node.run("corosync-quorumtool", "-s").code == 0, "corosync")
    node.start("pacemakerd", "env", f"PCMK_logfile={LOG}", "pacemakerd")
    wait_for(lambda: (s := status(node)) and s.online() == ["n1"], "n1 to be online", SETTLE_S)


def status(node: Node) -> pacemaker.Status | None:
    """What crm_mon says, or None while it has nothing to say."""
    said = node.run("crm_mon", "-1", "-r", "-m2", "--output-as=xml")
    return pacemaker.parse(said.out) if said.code == 0 else None


def settle(node: Node) -> None:
    """Wait until Pacemaker has nothing left to do."""

    def idle() -> bool:
        return "S_IDLE" in node.run("crmadmin", "-S", node.name).out

    wait_for(idle, "Pacemaker to settle", SETTLE_S)


def await_running(node: Node, *resources: str) -> None:
    """Wait until resources run on the node."""

    def run() -> bool:
        now = status(node)
        return now is not None and all(now.where(name) == [node.name] for name in resources)

    wait_for(run, f"{resources} to run", SETTLE_S)
    settle(node)


def log(node: Node) -> str:
    """Pacemaker's log."""
    return node.path(LOG).read_text(errors="replace")
