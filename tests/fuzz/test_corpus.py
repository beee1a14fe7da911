"""Every input that was ever of interest is run again, and some that never were."""

from __future__ import annotations

import pytest

from .seeds import CORPUS, kept, seeds
from .targets import TARGETS

MAX_CORPUS_BYTES = 300_000


@pytest.mark.parametrize("name", TARGETS)
def test_the_kept_corpus_holds(name: str) -> None:
    inputs = [path.read_bytes() for path in kept(name)]
    for data in [b"", *seeds(name), *inputs]:
        TARGETS[name](data)


def test_the_kept_corpus_is_small_and_of_known_targets() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} <= set(TARGETS)
    assert sum(path.stat().st_size for path in files) <= MAX_CORPUS_BYTES
