"""The fixture `lio`: a lab of one LU, booted for each file of tests and ended with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..lab.conftest import require
from ..lab.san import Lab
from .sides import Lio


@pytest.fixture(scope="module")
def lio() -> Iterator[Lio]:
    """LIO, as its three initiators reach it; skips where no lab can run."""
    require()
    with Lab(1) as lab:
        yield Lio(lab)
