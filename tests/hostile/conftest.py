"""One scene for all tests of a session: setting it up takes longer than a case."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .scene import Scene, memory_folder
from .trap import why_not


@pytest.fixture(scope="session")
def scene() -> Iterator[Scene]:
    """Put back before each case by whoever runs it."""
    folder = Path(memory_folder())
    yield Scene(folder).set_up()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def trapped() -> None:
    """Skip with the reason where no process can be stopped at its system calls; in CI, fail."""
    reason = why_not()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
