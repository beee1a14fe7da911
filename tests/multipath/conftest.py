"""The fixture `ground`: two nodes with dm-multipath, booted once, put right before each test."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from ..cluster.conftest import logs_folder, require
from . import ground as grounds
from .ground import WHOLE, Ground

pytest.register_assert_rewrite("tests.multipath.moment")

LONG = (
    "tests/multipath/test_paths.py::test_keys_of_multipathd",
    "tests/multipath/test_paths.py::test_a_new_session",
)


@pytest.fixture(scope="package")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Both nodes joined through their maps; skip where that cannot run, in CI fail."""
    require()
    cluster = grounds.prepare()
    cluster.keep_logs = logs_folder(tmp_path_factory.getbasetemp(), "multipath")
    with cluster:
        ground = grounds.build(cluster)
        cluster.keep_logs = None  # from here on each test keeps its own
        yield ground


@pytest.fixture
def ground(booted: Ground) -> Ground:
    """All paths there, both nodes joined on every nexus, multipathd as usual."""
    booted.restore()
    return booted


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, but for `make paths`, what else would make `make test` too long."""
    left_out = [item for item in items if not WHOLE and item.nodeid.partition("[")[0] in LONG]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Keep all logs when a test fails, and say where."""
    outcome = yield
    report = outcome.get_result()
    ground = getattr(item, "funcargs", {}).get("booted")
    if report.failed and isinstance(ground, Ground) and report.when != "teardown":
        factory = item.config._tmp_path_factory  # type: ignore[attr-defined]
        kept = ground.cluster.logs(logs_folder(factory.getbasetemp(), item.name))
        report.sections.append(("lab logs", str(kept)))
