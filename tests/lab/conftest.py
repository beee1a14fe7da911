"""The fixture `lab`: booted once, put right before each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .guest import LabError, why_not
from .san import Lab


def require() -> None:
    """Skip where no laboratory can run; where CI is set that would be a lie, so there fail."""
    reason = why_not()
    if reason is not None:
        if os.environ.get("CI"):
            pytest.fail(f"CI is set, but the lab cannot run: {reason}", pytrace=False)
        pytest.skip(f"the lab cannot run: {reason}")


@pytest.fixture(scope="session")
def running_lab() -> Iterator[Lab]:
    """Boot the laboratory once for all tests."""
    require()
    with Lab() as lab:
        yield lab


@pytest.fixture
def lab(running_lab: Lab) -> Iterator[Lab]:
    """The laboratory with all paths alive, no registrations, reservations or UAs."""
    try:
        running_lab.clear()
    except LabError as error:
        pytest.fail(f"the lab is broken: {error}\n{running_lab.guest.console()[-2000:]}")
    yield running_lab
