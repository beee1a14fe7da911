"""The fixture `cluster`: three nodes, booted and joined once, put right before each test."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..lab.guest import LabError
from ..lab.guest import why_not as lab_cannot
from .cluster import Cluster
from .pacemaker import dummy

LOGS_VARIABLE = "PRBARRIER_CLUSTER_LOGS"
PROGRAMS = (
    "corosync corosync-quorumtool pacemakerd crm_mon cibadmin crm_attribute stonith_admin"
    " unshare nsenter mkfs.ext4 udevadm ping make"
)
FIRST = "first"


def why_not() -> str | None:
    """Return the reason why no cluster can run on this machine, or None."""
    reason = lab_cannot()
    if reason is not None:
        return reason
    for program in PROGRAMS.split():
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            return f"{program} is missing (tests/lab/deps.sh installs it)"
    if not os.path.exists("/dev/net/tun"):
        return "/dev/net/tun is missing"
    return None


def require() -> None:
    """Skip where no cluster can run; where CI is set that would be a lie, so there fail."""
    reason = why_not()
    if reason is not None:
        if os.environ.get("CI"):
            pytest.fail(f"CI is set, but the cluster cannot run: {reason}", pytrace=False)
        pytest.skip(f"the cluster cannot run: {reason}")


def logs_folder(base: Path, name: str) -> Path:
    """Return where a test's logs are kept: below pytest's own folder, or as told."""
    below = Path(os.environ.get(LOGS_VARIABLE) or base / "cluster-logs")
    return below / re.sub(r"[^\w.-]+", "_", name)


@pytest.fixture(scope="session")
def cluster_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder below which logs are kept."""
    return tmp_path_factory.getbasetemp()


@pytest.fixture(scope="session")
def running_cluster(cluster_base: Path) -> Iterator[Cluster]:
    """Boot the cluster once for all tests; skip where that cannot be done.

    A resource is configured before any stonith device is, so that it starts
    with the very first unfencing.
    """
    require()
    cluster = Cluster(keep_logs=logs_folder(cluster_base, "start"))
    with cluster:
        try:
            cluster.create("resources", dummy(FIRST))
            cluster.configure_stonith()
            cluster.wait_for(lambda: cluster.status().where(FIRST), 60, f"{FIRST} to start")
        except (LabError, AssertionError) as error:
            kept = cluster.logs(logs_folder(cluster_base, "start"))
            pytest.fail(f"the cluster did not come up: {error}\nlogs: {kept}")
        cluster.keep_logs = None  # from here on each test keeps its own
        yield cluster


@pytest.fixture
def cluster(running_cluster: Cluster) -> Cluster:
    """The cluster with all nodes online and joined, and no resource but the fence device."""
    running_cluster.restore()
    return running_cluster


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Keep all logs of the cluster when a test that uses it fails, and say where."""
    outcome = yield
    report = outcome.get_result()
    running = getattr(item, "funcargs", {}).get("running_cluster")
    if running is None:
        running = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(running, Cluster) and report.when != "teardown":
        factory = item.config._tmp_path_factory  # type: ignore[attr-defined]
        kept = running.logs(logs_folder(factory.getbasetemp(), item.name))
        report.sections.append(("cluster logs", str(kept)))
