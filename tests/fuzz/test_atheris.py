"""A short run of the coverage-guided fuzzer; the long one is ``python -m tests.fuzz``."""

from __future__ import annotations

import os

import pytest

from .engine import fuzz, why_not

SECONDS = 1
SEED = 20261125
# A parser of bytes, one of files, and a whole action.
SHORT = ("full_status", "state_file", "off")


@pytest.mark.parametrize("name", SHORT)
def test_the_fuzzer_finds_nothing_in_moments(name: str) -> None:
    reason = why_not()
    if reason is not None:
        if os.environ.get("CI"):
            pytest.fail(f"CI is set, but the fuzzer cannot run: {reason}", pytrace=False)
        pytest.skip(reason)
    run = fuzz(name, SECONDS, SEED)
    assert run.code == 0, run.output[-4000:]
    assert run.executions > 0 and run.edges > 0, "nothing was run, or nothing was covered"
