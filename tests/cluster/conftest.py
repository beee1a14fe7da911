"""Who may run, and when: the fixture `cluster`, and room for others in its place.

`cluster` is three nodes, booted and joined once, put right before each test. A
file that needs a cluster of its own puts it onto the `floor`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from ..lab.guest import LabError
from ..lab.guest import why_not as lab_cannot
from .cluster import Cluster
from .pacemaker import dummy

LOGS_VARIABLE = "PRBARRIER_CLUSTER_LOGS"
PROGRAMS = (
    "corosync corosync-quorumtool pacemakerd crm_mon cibadmin crm_attribute stonith_admin"
    " unshare nsenter mkfs.ext4 udevadm ping make multipathd"
)
# So that their assertions show what they compared, as a test's own do.
pytest.register_assert_rewrite("tests.cluster.stories")

COMMON = "common"
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


class Floor:
    """Room for one cluster: two would share two cores, and corosync would miss its tokens."""

    def __init__(self, base: Path) -> None:
        """Empty; `base` is where logs are kept."""
        self.base = base
        self.name = ""
        self.cluster: Cluster | None = None

    def clear(self) -> None:
        """End the cluster that stands there, if one does."""
        standing, self.cluster, self.name = self.cluster, None, ""
        if standing is not None:
            standing.end()

    def put(self, name: str, cluster: Cluster, make_ready: Callable[[Cluster], object]) -> Cluster:
        """End what stands there, boot a cluster in its place and make it ready."""
        self.clear()
        kept = cluster.keep_logs = logs_folder(self.base, name)
        try:
            with contextlib.ExitStack() as until_ready:
                until_ready.enter_context(cluster)
                make_ready(cluster)
                until_ready.pop_all()
        except (LabError, AssertionError) as error:
            pytest.fail(f"cluster {name} did not come up: {error}\nlogs: {kept}")
        cluster.keep_logs = None  # from here on each test keeps its own
        self.cluster, self.name = cluster, name
        return cluster


@pytest.fixture(scope="session")
def floor(cluster_base: Path) -> Iterator[Floor]:
    """Where the one cluster stands that may run; skip where none can."""
    require()
    floor = Floor(cluster_base)
    yield floor
    floor.clear()


def _make_ready(cluster: Cluster) -> None:
    """Configure the fence device.

    A resource is configured before any stonith device is, so that it starts
    with the very first unfencing.
    """
    cluster.create("resources", dummy(FIRST))
    cluster.configure_stonith()
    cluster.wait_for(lambda: cluster.status().where(FIRST), 60, f"{FIRST} to start")


@pytest.fixture
def cluster(floor: Floor) -> Cluster:
    """The common cluster of three: all online and joined, no resource but the fence device."""
    if floor.name != COMMON:
        floor.put(COMMON, Cluster(), _make_ready)
    assert floor.cluster is not None
    floor.cluster.restore()
    return floor.cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the common cluster first: who puts another onto the floor ends it for good."""
    items.sort(key=_floor_of)


def _floor_of(item: pytest.Item) -> str:
    """Return what the tests of one cluster have in common; '' for the common cluster.

    A module that has a fixture `cluster` of its own, or none but a floor, is
    with those that name the same FLOOR.
    """
    names, module = getattr(item, "fixturenames", ()), getattr(item, "module", None)
    if "floor" not in names or ("cluster" in names and not hasattr(module, "cluster")):
        return ""
    return str(getattr(module, "FLOOR", item.nodeid.partition("::")[0]))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Keep all logs of the cluster when a test that uses it fails, and say where."""
    outcome = yield
    report = outcome.get_result()
    floor = getattr(item, "funcargs", {}).get("floor")
    running = floor.cluster if isinstance(floor, Floor) else None
    if report.failed and running is not None and report.when != "teardown":
        factory = item.config._tmp_path_factory  # type: ignore[attr-defined]
        kept = running.logs(logs_folder(factory.getbasetemp(), item.name))
        report.sections.append(("cluster logs", str(kept)))
