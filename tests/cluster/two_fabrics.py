"""A cluster whose nodes have two paths to every LU, with the resource agent as a clone."""

from __future__ import annotations

from ..lab.model import TARGET, Unit
from .cluster import Cluster
from .conftest import Floor
from .pacemaker import dummy

NAME = "two fabrics"
BARRIER = "barrier"
DATA = "data"
DEVICES_FILE = "/etc/fence_prbarrier.devices"
AGENT_FILE = "/usr/lib/ocf/resource.d/fence_prbarrier/prbarrier"
MONITOR_S = 10
EVICTED = 4
DEGRADED = 190
SETTLE_S = 90.0


def by_path(cluster: Cluster, units: list[Unit]) -> str:
    """Return what stands in devices_file: every path by a link that is the same on all nodes."""
    lines = [
        f"/dev/disk/by-path/ip-{portal}:3260-iscsi-{TARGET}-lun-{u.index}"
        for portal in cluster.storage.portals()
        for u in units
    ]
    return "\n".join(["# every path of every LU", *lines])


def list_devices(cluster: Cluster, units: list[Unit]) -> None:
    """Have every node list these LUs, now and at its next boot."""
    for node in cluster.nodes.values():
        node.files[DEVICES_FILE] = by_path(cluster, units)
        if node.responsive:
            node.ok(f"cat >{DEVICES_FILE}", stdin=node.files[DEVICES_FILE])


def barrier() -> str:
    """Return the XML of the resource agent as a clone."""
    return (
        f'<clone id="{BARRIER}-clone"><meta_attributes id="{BARRIER}-clone-meta">'
        f'<nvpair id="{BARRIER}-clone-interleave" name="interleave" value="true"/>'
        f'</meta_attributes><primitive id="{BARRIER}" class="ocf" provider="fence_prbarrier"'
        f' type="prbarrier"><instance_attributes id="{BARRIER}-attributes"><nvpair'
        f' id="{BARRIER}-devices_file" name="devices_file" value="{DEVICES_FILE}"/>'
        "</instance_attributes><operations>"
        f'<op id="{BARRIER}-start" name="start" interval="0s" timeout="40s"/>'
        f'<op id="{BARRIER}-monitor" name="monitor" interval="{MONITOR_S}s" timeout="30s"/>'
        "</operations></primitive></clone>"
    )


def after_barrier(resource: str) -> list[str]:
    """Return the XML of the constraints that tie a resource to the barrier of its node."""
    return [
        f'<rsc_order id="{resource}-after-barrier" first="{BARRIER}-clone" then="{resource}"/>',
        f'<rsc_colocation id="{resource}-with-barrier" rsc="{resource}"'
        f' with-rsc="{BARRIER}-clone" score="INFINITY"/>',
    ]


def protect(cluster: Cluster) -> None:
    """Configure the clone and a resource after it; wait until all that runs."""
    cluster.create("resources", barrier())
    cluster.create("resources", dummy(DATA))
    for constraint in after_barrier(DATA):
        cluster.create("constraints", constraint)
    everywhere = sorted(cluster.nodes)
    cluster.wait_for(
        lambda: cluster.status().where(BARRIER) == everywhere, SETTLE_S, "the barrier everywhere"
    )
    cluster.wait_for(lambda: cluster.status().where(DATA), SETTLE_S, f"{DATA} to run")


def stand(floor: Floor) -> Cluster:
    """Return the cluster, all nodes joined on both paths and nothing but the fence device."""
    if floor.name != NAME:
        made = Cluster(fabrics=2)
        for node in made.nodes.values():
            # Paths that are lost are given up sooner than by default, as with multipath.
            node.iscsi["node.session.timeo.replacement_timeout"] = 15
        list_devices(made, made.storage.units)
        floor.put(NAME, made, _make_ready)
    cluster = floor.cluster
    if cluster is None:
        raise RuntimeError("the floor is empty")
    list_devices(cluster, cluster.storage.units[:2])
    cluster.restore()
    return cluster


def _make_ready(cluster: Cluster) -> None:
    cluster.configure_stonith(devices=None, devices_file=DEVICES_FILE)
