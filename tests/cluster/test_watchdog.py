"""The watchdog daemon's check in a cluster: an evicted node reboots, one without paths does not."""

from __future__ import annotations

import time

import pytest

from .cluster import Cluster
from .conftest import Floor
from .node import Node
from .stories import incarnations
from .two_fabrics import DEVICES_FILE, NAME, SETTLE_S, stand

FLOOR = NAME
CHECK = "/etc/watchdog.d/prbarrier"
# The kernel's own watchdog would reboot a node that stood still as well; not with this margin.
SOFTDOG_MARGIN_S = 600
DAEMON = f"""
set -e
modprobe softdog soft_margin={SOFTDOG_MARGIN_S} soft_noboot=0
cat >/etc/watchdog.conf <<END
watchdog-device = /dev/watchdog1
watchdog-timeout = {SOFTDOG_MARGIN_S}
interval = 2
test-directory = /etc/watchdog.d
test-timeout = 60
realtime = no
allocatable-memory = 0
END
mkdir -p /var/log/watchdog
watchdog
"""
WATCHED_S = 25.0


@pytest.fixture
def cluster(floor: Floor) -> Cluster:
    """Three nodes with two paths each."""
    return stand(floor)


def watch(node: Node) -> None:
    """Start Debian's watchdog daemon on a node; the check is where `make install` put it."""
    node.ok(DAEMON, timeout=30)
    assert node.sh(f"pidof watchdog && {CHECK} test && {CHECK} repair 255").code == 0


def test_an_evicted_node_is_rebooted(cluster: Cluster) -> None:
    """Frozen, evicted, thawed: the daemon reboots it, and it joins with a larger incarnation."""
    node, before = cluster.node("n3"), incarnations(cluster, "n3")
    watch(node)
    boots, boot_id, began = node.boots_seen(), node.boot_id(), time.time()
    node.freeze()
    cluster.await_fenced("n3", began)
    node.thaw()
    thawed = time.time()
    node.await_boot(boots)
    assert time.time() - thawed < SOFTDOG_MARGIN_S / 2
    assert node.boot_id() != boot_id
    cluster.rejoin("n3")
    assert min(incarnations(cluster, "n3")) > max(before)


def test_evicted_from_one_lu_is_evicted(cluster: Cluster) -> None:
    """One LU of two is enough, even if the other cannot be read at all."""
    node = cluster.node("n3")
    devices = node.ok(f"grep lun-1 {DEVICES_FILE}").replace("\n", ",")
    said = cluster.node("n1").agent("off", "n3", devices=devices)
    assert said.code == 0, said
    assert sorted(len(cluster.storage.keys(u.index)) for u in cluster.storage.units) == [2, 3]
    said = node.sh(f"{CHECK} test")
    assert said.code == 255 and "it has been evicted" in said.output, said
    assert node.sh(f"{CHECK} repair 255").code == 255
    watch_boots = node.boots_seen()
    node.ok(DAEMON, timeout=30)
    node.await_boot(watch_boots)
    cluster.rejoin("n3")


def test_a_node_without_paths_is_left_alone(cluster: Cluster) -> None:
    """All its paths die and come back: whether it is evicted is not known meanwhile."""
    node = cluster.node("n3")
    watch(node)
    boots = node.boots_seen()
    for segment in ("san0", "san1"):
        node.cut(segment)
    time.sleep(WATCHED_S)
    said = node.sh(f"{CHECK} test", timeout=60)
    assert said.code == 0 and "not known whether" in said.output, said
    for segment in ("san0", "san1"):
        node.mend(segment)
    node.await_devices()
    cluster.wait_for(lambda: node.sh(f"{CHECK} test").output == "", SETTLE_S, "the check to read")
    assert node.boots_seen() == boots and node.sh("pidof watchdog").code == 0
    node.ok("killall watchdog || kill $(pidof watchdog)")
