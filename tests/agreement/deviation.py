"""One thing that a target does in its own way."""

from __future__ import annotations

from typing import NamedTuple


class Deviation(NamedTuple):
    """One thing that a target does in its own way."""

    attributes: tuple[str, ...]
    clause: str
    standard: str
    target: str
    source: str  # functions of the target's source
