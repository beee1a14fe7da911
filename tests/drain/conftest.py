"""The fixture `ground`: a storage whose writes are late, a survivor and a victim."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..cluster.conftest import logs_folder, require
from . import ground as grounds
from .ground import Ground


@pytest.fixture(scope="package")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Skip where that cannot run, in CI fail."""
    require()
    cluster = grounds.cluster()
    cluster.keep_logs = logs_folder(tmp_path_factory.getbasetemp(), "drain")
    with cluster:
        yield Ground(cluster)
