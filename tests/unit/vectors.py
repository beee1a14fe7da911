"""Reads the golden vectors of tests/vectors; the form of a record: tests/vectors/README.md."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Union

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
FILES = (
    "commands.txt",
    "read_keys.txt",
    "read_reservation.txt",
    "capabilities.txt",
    "full_status.txt",
    "inquiry.txt",
    "sense.txt",
)

Value = Union[int, str, None, "list[int]"]
HEXADECIMAL = ("hex", "cdb", "data")
PLAIN = (*HEXADECIMAL, "name", "source", "command", "alloc", "asked")
REPEATED = ("arg", "expect", "error")


class Record(NamedTuple):
    """One record: ``plain`` its single lines, ``arguments`` and ``expected`` by key."""

    file: str
    plain: dict[str, str]
    arguments: dict[str, Value]
    expected: dict[str, Value]
    errors: list[str]

    @property
    def name(self) -> str:
        return self.plain["name"]

    def octets(self, key: str) -> bytes:
        return bytes.fromhex(self.plain.get(key, ""))

    @property
    def allocation_length(self) -> int:
        return int(self.plain["alloc"])


def _value(key: str, text: str) -> Value:
    """Integers, "text", lists (the plural names), none; N.hex is digits."""
    if text == "none":
        return None
    if key in ("keys", "types", "pages"):
        return [int(item, 0) for item in text.split(",") if item]
    if key.split(".")[-1] in ("hex", "sas_address", "port_name", "eui64", "isid"):
        return text
    if text[:1] == '"':
        return text[1:-1]
    return int(text, 0)


def _record(file: str, block: list[str]) -> Record:
    record = Record(file, {}, {}, {}, [])
    last = ""
    for line in block:
        if line.startswith("  ") and last in HEXADECIMAL:
            record.plain[last] += " " + line.strip()
            continue
        last, colon, text = (part.strip() for part in line.partition(":"))
        if not colon or last not in PLAIN + REPEATED:
            raise ValueError(f"{file}: {line!r}")
        if last == "error":
            record.errors.extend(item.strip() for item in text.split(","))
        elif last in REPEATED:
            key, _, value = text.partition("=")
            known = record.arguments if last == "arg" else record.expected
            if key in known:
                raise ValueError(f"{file}: {key} twice in {record.plain.get('name')}")
            known[key] = _value(key, value)
        else:
            if last in record.plain:
                raise ValueError(f"{file}: {last} twice in {record.plain.get('name')}")
            record.plain[last] = text
    return record


def read(file: str) -> list[Record]:
    """Every record of one file."""
    text = (FOLDER / file).read_text(encoding="utf-8")
    records = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.strip() and line[0] != "#"]
        if lines:
            records.append(_record(file, lines))
    return records
