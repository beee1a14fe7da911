"""Where each profile departs from `spec`: what the standard says, what the target does, and where.

The table of docs/targets.md is written from this one. `attributes` are those of the profile's
class (fence_prbarrier/simulator/profiles.py), where the code cites its source; together the rows
of a profile name every attribute in which it differs from `Spec`, its identity excepted.

Clauses are those of SPC-4 where nothing else stands, as in the simulator's codes.py.
"""

from __future__ import annotations

from .abstractions import ABSTRACTIONS
from .deviations_lio import LIO
from .deviations_others import LIAR, TGT

IDENTITY = frozenset(("name", "vendor", "product", "revision", "company_id"))

TABLES = {"lio": LIO, "tgt": TGT, "liar": LIAR}


def table(profile: str) -> str:
    """The rows of a profile as they stand in docs/targets.md."""
    lines = ["| clause | the standard | the target | where |", "|---|---|---|---|"]
    for row in TABLES[profile]:
        source = ", ".join(
            " ".join(f"`{word}`" if "_" in word else word for word in part.split(" "))
            for part in row.source.split(", ")
        )
        lines.append(f"| {row.clause} | {row.standard} | {row.target} | {source} |")
    return "\n".join(lines)


def left_out() -> str:
    """What profile `lio` leaves out, as it stands there."""
    return "\n".join(f"- {each.what}: {each.why}." for each in ABSTRACTIONS)
