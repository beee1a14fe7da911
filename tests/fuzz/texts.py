"""Targets: text that people, cluster managers and programs write."""

from __future__ import annotations

import os
import re
from typing import Any

from fence_prbarrier import lvm
from fence_prbarrier.agent import ocf
from fence_prbarrier.agent.cli import parse_stdin, read_arguments
from fence_prbarrier.agent.parameters import (
    BOOLEAN,
    BY_NAME,
    OCF_PARAMETERS,
    SELECT,
    Options,
)
from fence_prbarrier.barrier.drain import check_policy, resolve, wait_seconds
from fence_prbarrier.cluster import Cluster, build_cluster, parse_nodes, parse_tag
from fence_prbarrier.devices import parse_devices, read_devices_file
from fence_prbarrier.errors import BarrierError, DeviceError, InvalidInput
from fence_prbarrier.finding import expand, is_pattern
from fence_prbarrier.key import FORBIDDEN_TAGS, Key, parse_key
from fence_prbarrier.transport.mock import MockPath

from .checks import Refused, attempt, require
from .ground import SCRATCH

HEX = re.compile(r"(0[xX])?[0-9a-fA-F]{1,16}")
COLONS = re.compile(r"([0-9a-fA-F]{1,16}):([0-9a-fA-F]{1,16}):([0-9a-fA-F]{1,16})")


def _text(data: bytes) -> str:
    """What stdin could have handed on: UTF-8 text without NUL."""
    return data.decode("utf-8", "ignore").replace("\0", "")


def key(data: bytes) -> None:
    """A key from any spelling: the number that the digits write, and the way back."""
    text = _text(data)
    got = attempt(lambda: parse_key(text), InvalidInput)
    bare = text.strip()
    expected = 0
    if found := COLONS.fullmatch(bare):
        tag, node, life = (int(part, 16) for part in found.groups())
        if tag < 1 << 16 and node < 1 << 16 and life < 1 << 32:
            expected = (tag << 48) + (node << 32) + life
    elif HEX.fullmatch(bare):
        expected = int(bare, 16)
    require((0 if isinstance(got, Refused) else int(got)) == expected, "another key", text, got)
    if expected:
        require(parse_key(str(got)) == parse_key(got.hex) == got, "no way back", got)
    if len(data) >= 8:
        number = int.from_bytes(data[:8], "big")
        made = attempt(lambda: Key(number), InvalidInput)
        require(isinstance(made, Refused) == (number == 0), "zero is no key", number)
        if number:
            parts = (made.tag << 48) + (made.node << 32) + made.incarnation
            require(parts == number == parse_key(str(made)), "the fields are not the key", made)


def cluster(data: bytes) -> None:
    """Tag, nodes, cluster's name and a plug, as parameters (no corosync.conf)."""
    tag, nodes, name, plug = (_text(data).split("\n") + [""] * 4)[:4]
    given = attempt(lambda: parse_tag(tag), InvalidInput)
    if not isinstance(given, Refused):
        require(given == int(tag, 16) and 0 < given < 1 << 16, "not that tag", tag)
        require(given not in FORBIDDEN_TAGS, "somebody else's tag", tag)
    table = attempt(lambda: parse_nodes(nodes), InvalidInput)
    if not isinstance(table, Refused):
        items = [item.rpartition(":") for item in nodes.replace(",", " ").split()]
        require(table == {item[0]: int(item[2]) for item in items}, "not what is written", nodes)
        require(len(set(table.values())) == len(items), "two nodes share a number", table)
        require(all(0 < number < 1 << 16 for number in table.values()), "range", table)
    built = attempt(lambda: build_cluster(name, tag, nodes, "/nowhere/corosync.conf"), InvalidInput)
    if isinstance(built, Refused):
        return
    require(built.numbers == table, "other nodes", built.numbers)
    _numbers(built, plug)


def _numbers(built: Cluster, plug: str) -> None:
    """A plug leads to the node that bears its name, else its number, else nowhere."""
    number = attempt(lambda: built.number_of(plug), InvalidInput)
    if not isinstance(number, Refused):
        named = built.numbers.get(plug)
        require(number == (int(plug) if named is None else named), "another node", plug)
        require(number in built.numbers.values(), "a node that is none", plug)
    local = attempt(lambda: built.local_number(plug), InvalidInput)
    if not isinstance(local, Refused):
        require(local in built.numbers.values(), "this node is none", plug)


def corosync(data: bytes) -> None:
    """A corosync.conf of any content: its nodes, or an error."""
    path = SCRATCH.file("corosync.conf", data)
    built = attempt(lambda: build_cluster("", "", "", path), InvalidInput)
    if isinstance(built, Refused):
        return
    text = data.decode()
    lines = [line.strip() for line in text.split("\n")]
    opened = sum(line.endswith("{") and line[0] != "#" for line in lines)
    require(opened == lines.count("}") > 0, "read although sections are open", text)
    for name, number in built.numbers.items():
        require(0 < number < 1 << 16, "range", number)
        require(name in text and str(number) in text, "a node that is not there", name, number)
        require(name.isprintable(), "a name that no list can print", name)
        _numbers(built, name)
    require(len(built.numbers) <= text.count("nodeid"), "more nodes than numbers", text)
    require("cluster_name" in text, "a tag from nowhere", text)
    # Cut off inside its sections it is an error, never a smaller cluster.
    end = len(lines) - 1 - lines[::-1].index("}")
    cut = SCRATCH.file("corosync.conf", "\n".join(lines[:end]).encode())
    again = attempt(lambda: build_cluster("", "", "", cut), InvalidInput)
    require(isinstance(again, Refused), "a file that is cut off was read", lines[:end])


def stdin(data: bytes) -> None:
    """key=value lines: every value is one that stands there, checked or refused."""
    got = attempt(lambda: parse_stdin(data), InvalidInput)
    if isinstance(got, Refused):
        return
    values, unknown = got
    text = data.decode()
    require("\0" not in "".join(values.values()), "a NUL byte", values)
    for name, value in values.items():
        require(name in BY_NAME and name in text and value in text, "from nowhere", name, value)
    require(not set(unknown) & set(BY_NAME), "known after all", unknown)
    _options(values)


def _options(values: dict[str, str]) -> None:
    options = attempt(lambda: Options(values), InvalidInput)
    if isinstance(options, Refused):
        return
    for name, parameter in BY_NAME.items():
        value = options[name]
        if parameter.kind == BOOLEAN:
            require(value in ("0", "1"), "no boolean", name, value)
        elif parameter.kind == SELECT or parameter.choices:
            require(value in (*parameter.choices, parameter.default), "no choice", name, value)
        elif parameter.kind != "string":
            require(parameter.low <= options.number(name) <= parameter.high, "range", name, value)


def arguments(data: bytes) -> None:
    """A command line of any words; execve() hands over no NUL, and other bytes as surrogates."""
    words = [os.fsdecode(word) for word in data.split(b"\0")]
    got = attempt(lambda: read_arguments(words), InvalidInput)
    if isinstance(got, Refused):
        return
    joined = " ".join(words)
    for name, value in got[0].items():
        kind = BY_NAME[name].kind
        require(value in joined or kind == BOOLEAN, "from nowhere", name, value)
        value.encode()
    _options(got[0])


def drain(data: bytes) -> None:
    text = _text(data)
    got = attempt(lambda: check_policy(text), InvalidInput)
    plain = ("auto", "target", "reset")
    wait = re.fullmatch(r"wait:([0-9]{1,9})", text)
    fits = text in plain or (wait is not None and 1 <= int(wait[1]) <= 3600)
    require(isinstance(got, Refused) != fits, "another policy", text)
    if fits:
        seconds = int(wait[1]) if wait else 0
        require(wait_seconds(text) == seconds, "another time", text)
        require(resolve(text, "LIO-ORG", "naa.1").wait_seconds == seconds, "another time", text)


def devices(data: bytes) -> None:
    """devices and devices_file: every name that is written, and no other."""
    text = _text(data)
    names = attempt(lambda: parse_devices(text), InvalidInput)
    if not isinstance(names, Refused):
        require("".join(names) == "".join(dict.fromkeys(re.split(r"[\s,]+", text))), "names", text)
    path = SCRATCH.file("devices", data)
    listed = attempt(lambda: read_devices_file(path), InvalidInput)
    if not isinstance(listed, Refused):
        require(all(name in data.decode() for name in listed), "from nowhere", listed)
        if "#" not in text:
            require(listed == names, "the file says something else", listed, names)


def patterns(data: bytes) -> None:
    """Patterns below a folder of three files: what matches, or an error, never silence."""
    text = _text(data)[:200]
    folder = SCRATCH.folder("disks", ("sda", "sdb", "wwn-1"))
    for name in (text, f"{folder}/{text}", f"mock:{folder}/{text}"):
        if not is_pattern(name) or "*/" in name or name.startswith(("/*", "/?", "/[")):
            continue  # an error of another kind, or a walk through this machine's files
        kept = [f"{folder}/sdc"]
        got = attempt(lambda: expand([name], lambda: kept, lambda _: None), BarrierError)  # noqa: B023
        if not isinstance(got, Refused):
            require(got, "nothing matches, and nobody says so", name)


def vgs(data: bytes) -> None:
    """What vgs prints: every shared volume, or an error."""
    said, _, complaints = data.partition(b"\0")
    text = said.decode("utf-8", "surrogateescape")
    got = attempt(lambda: lvm.parse(text, complaints.decode("utf-8", "replace")), DeviceError)
    if isinstance(got, Refused):
        return
    shared = set()
    for line in text.rstrip("\n").split("\n"):
        fields = line.strip().split(":", 2)
        if len(fields) == 3 and fields[0][5:6] in ("c", "s"):
            shared.add(fields[2])
    require(set(got) == shared, "other volumes than are printed", got, shared)
    require(all(name.startswith("/") for name in got), "no device name", got)


def ocf_environment(data: bytes) -> None:
    """Parameters as environment variables, where any byte but NUL may stand."""
    fields = data.split(b"\0")
    environment: dict[str, str] = {}
    for name, field in zip(OCF_PARAMETERS, fields):
        if name not in ("state_dir", "devices"):
            environment[ocf.ENVIRONMENT_PREFIX + name] = os.fsdecode(field)
    extra = [os.fsdecode(field) for field in fields[-2:]]
    environment["OCF_RESOURCE_INSTANCE"] = extra[-1]
    environment[ocf.TIMEOUT_VARIABLE] = extra[0]
    environment[ocf.ENVIRONMENT_PREFIX + "state_dir"] = SCRATCH.path("state")

    def settle() -> Any:
        options, _ = ocf.settle(OCF_PARAMETERS, environment)
        ocf._seconds("start", options, environment)
        return build_cluster(options["cluster_name"], options["cluster_tag"], options["nodes"])

    attempt(settle, InvalidInput)


def mock_name(data: bytes) -> None:
    """The name of a simulated LU: its file and its nexus, or an error."""
    name = _text(data)
    path = SCRATCH.file("unit", b"")
    for text in (name, f"{path}?{name}"):
        if text.startswith("/") and not text.startswith(path):
            continue  # could make a file anywhere
        got = attempt(lambda: MockPath(text, "n1"), DeviceError)  # noqa: B023
        if not isinstance(got, Refused):
            require(0 < got.nexus.port < 1 << 16, "no port", got.nexus)
