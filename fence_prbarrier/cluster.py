"""Who is in the cluster: its name, the nodes' names and numbers (node identifier manager).

Numbers come from ``nodes`` or from corosync.conf's nodelist, never from a
position in a list: positions change.
"""

from __future__ import annotations

import os

from .errors import InvalidInput, quoted
from .files import read_regular
from .key import MAX_NODE, check_node, check_tag, tag_of_cluster

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COROSYNC_CONF = "/etc/corosync/corosync.conf"
MAX_COROSYNC_CONF_BYTES = 1 << 20
MAX_NODES = 1024
NODE_SECTION = ["nodelist", "node"]
# Of a name in a list of names, so many characters are shown.
MAX_LISTED = 100
# More digits than any number that is checked to be in range.
MAX_DIGITS = 10
HEX_DIGITS = "0123456789abcdefABCDEF"


class Cluster:
    """A cluster tag and its nodes: ``numbers`` maps names to node numbers, in number order."""

    __slots__ = ("tag", "numbers")

    def __init__(self, tag: int, numbers: Mapping[str, int]) -> None:
        self.tag = tag
        self.numbers = dict(sorted(numbers.items(), key=lambda item: item[1]))

    def name_of(self, number: int) -> str:
        """The name of a node number, or the number where it has none."""
        for name, own in self.numbers.items():
            if own == number:
                return name
        return str(number)

    def number_of(self, plug: str) -> int:
        """The node number of a name or of a number in decimal; InvalidInput if unknown."""
        if plug in self.numbers:
            return self.numbers[plug]
        if _is_number(plug) and int(plug) in self.numbers.values():
            return int(plug)
        raise InvalidInput(
            f"node {quoted(plug)} is not known: expected {self.known()}; give it in nodes or in"
            " corosync.conf's nodelist"
        )

    def local_number(self, local_name: str) -> int:
        """This node's number, by its name, or by its first label if only one node has it."""
        if local_name in self.numbers:
            return self.numbers[local_name]
        label = local_name.partition(".")[0]
        same = [name for name in self.numbers if name.partition(".")[0] == label]
        if len(same) == 1:
            return self.numbers[same[0]]
        raise InvalidInput(
            f"this node, {quoted(local_name)}, has no number: expected {self.known()}; add it to"
            " nodes or to corosync.conf's nodelist, or give local_name where the agent runs by hand"
        )

    def known(self) -> str:
        """The nodes for an error's text."""
        names = [f"{name[:MAX_LISTED]} ({number})" for name, number in self.numbers.items()]
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        return "one of " + ", ".join(names[:8]) + more


def build_cluster(
    cluster_name: str, cluster_tag: str, nodes: str, corosync_conf: str = COROSYNC_CONF
) -> Cluster:
    """From the parameters, and from corosync.conf for whatever they leave out."""
    name, table = cluster_name, parse_nodes(nodes) if nodes else None
    if not table or not (name or cluster_tag):
        found_name, found_nodes = read_corosync_conf(corosync_conf)
        name = name or found_name
        if table is None:
            table = _numbers(found_nodes, corosync_conf)
    if cluster_tag:
        tag = parse_tag(cluster_tag)
    elif name:
        tag = tag_of_cluster(name)
    else:
        raise InvalidInput(f"{corosync_conf} has no cluster_name: set cluster_name or cluster_tag")
    return Cluster(tag, table)


def parse_tag(text: str) -> int:
    """A cluster tag in hexadecimal, with or without 0x."""
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    # int(x, 16) alone would also take signs, blanks, underscores and a second 0x.
    if not digits or len(digits) > MAX_DIGITS or digits.strip(HEX_DIGITS):
        raise InvalidInput(
            f"cluster_tag={quoted(text)}: expected up to four hexadecimal digits, such as 3f2a"
        )
    return check_tag(int(digits, 16))


def parse_nodes(text: str) -> dict[str, int]:
    """``n1:1,n2:2`` (commas or blanks) to names and numbers."""
    pairs = []
    for item in text.replace(",", " ").split():
        name, colon, number = item.rpartition(":")
        if not colon or not name:
            raise InvalidInput(f"nodes={quoted(text)}: {quoted(item)} is not NAME:NUMBER")
        pairs.append((name, number))
    return _numbers(pairs, "nodes")


def _numbers(pairs: Iterable[tuple[str, str]], source: str) -> dict[str, int]:
    """Names and numbers, each checked to be in range and to stand only once."""
    table: dict[str, int] = {}
    owners: dict[int, str] = {}
    for name, text in pairs:
        if not name.isprintable():
            raise InvalidInput(f"{source}: node {quoted(name)}: a name is printable characters")
        if not _is_number(text):
            raise InvalidInput(
                f"{source}: node {quoted(name)} has number {quoted(text)}, 1 to {MAX_NODE} expected"
            )
        number = int(text)
        try:
            check_node(number)
        except InvalidInput as error:
            raise InvalidInput(f"{source}: node {quoted(name)}: {error}") from None
        if name in table:
            raise InvalidInput(f"{source}: node {quoted(name)} stands there twice")
        if number in owners:
            raise InvalidInput(
                f"{source}: nodes {quoted(owners[number])} and {quoted(name)} both have number"
                f" {number}; give each its own"
            )
        table[name] = number
        owners[number] = name
    if not table:
        raise InvalidInput(f"{source}: no node with a number: expected NAME:NUMBER,...")
    if len(table) > MAX_NODES:
        raise InvalidInput(f"{source}: {len(table)} nodes, at most {MAX_NODES} are supported")
    return table


def _is_number(text: str) -> bool:
    """Whether int() may have it: plain digits, and no more than could be in range."""
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS


def local_host_name() -> str:
    """The kernel's host name."""
    return os.uname().nodename


def read_corosync_conf(path: str) -> tuple[str, list[tuple[str, str]]]:
    """(cluster name or "", [(node name, node id as text)]) of a corosync.conf(5)."""
    remedy = "set nodes and cluster_name, or mend it"
    try:
        raw = read_regular(path, MAX_COROSYNC_CONF_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}; {remedy}") from None
    if len(raw) > MAX_COROSYNC_CONF_BYTES:
        raise InvalidInput(f"{path}: larger than {MAX_COROSYNC_CONF_BYTES} bytes; {remedy}")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{path}: not UTF-8 text; {remedy}") from None
    name, nodes = _parse_corosync(text, path)
    if not nodes:
        raise InvalidInput(f"{path}: no nodelist with nodes; {remedy}")
    return name, [_node_of(entry, path) for entry in nodes]


def _parse_corosync(text: str, path: str) -> tuple[str, list[dict[str, str]]]:
    """Sections ``name {``, ``key: value``, ``}``, ``#`` comments (corosync's coroparse.c)."""
    sections: list[str] = []
    cluster_name = ""
    nodes: list[dict[str, str]] = []
    # Lines as corosync has them: splitlines() would break at more than line feeds.
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not line or line.startswith("#"):
            continue
        if line.endswith("{"):
            sections.append(line[:-1].strip())
            if sections == NODE_SECTION:
                nodes.append({})
        elif line == "}" and sections:
            sections.pop()
        elif not colon:
            raise InvalidInput(f"{path}: line {number}: expected 'key: value', got {line[:40]!r}")
        elif sections == NODE_SECTION:
            nodes[-1][key] = value
        elif sections == ["totem"] and key == "cluster_name":
            cluster_name = value
    if sections:
        raise InvalidInput(
            f"{path}: section {quoted(sections[-1])} is not closed: the file is cut off"
        )
    return cluster_name, nodes


def _node_of(entry: Mapping[str, str], path: str) -> tuple[str, str]:
    name = entry.get("name") or entry.get("ring0_addr")
    if not name:
        raise InvalidInput(f"{path}: a node of the nodelist has neither name nor ring0_addr")
    if "nodeid" not in entry:
        raise InvalidInput(f"{path}: node {quoted(name)} has no nodeid; add it, or set nodes")
    return name, entry["nodeid"]
