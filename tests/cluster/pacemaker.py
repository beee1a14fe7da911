"""Pacemaker's words: what crm_mon says, and pieces of configuration."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import quoteattr

# Pacemaker's own limits lie above the agent's power_timeout (60 s), as its manual says.
AGENT = "fence_prbarrier"
OFF_TIMEOUT_S = 70
STONITH_TIMEOUT_S = 90
UNFENCING = {"provides": "unfencing"}


@dataclass(frozen=True)
class NodeState:
    """What the cluster thinks of a node."""

    online: bool
    unclean: bool
    pending: bool
    standby: bool


@dataclass(frozen=True)
class Resource:
    """What the cluster thinks of a resource (an instance of it, in a clone)."""

    id: str
    agent: str
    role: str
    active: bool
    failed: bool
    pending: str  # the action that is under way, or ''
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class FenceEvent:
    """One entry of the fencing history."""

    action: str
    target: str
    delegate: str
    status: str
    exit_reason: str


@dataclass(frozen=True)
class Status:
    """One picture of the cluster, as one node sees it."""

    quorum: bool
    coordinator: str  # the name of the DC, or ''
    nodes: Mapping[str, NodeState]
    resources: Sequence[Resource]
    fencing: Sequence[FenceEvent]
    failures: Sequence[Mapping[str, str]] = field(default_factory=tuple)

    def online(self) -> list[str]:
        """Return the names of nodes that are online, clean and through with joining."""
        return sorted(
            name
            for name, node in self.nodes.items()
            if node.online and not node.unclean and not node.pending
        )

    def where(self, resource: str) -> list[str]:
        """Return the names of nodes on which a resource (or its clone's instances) runs."""
        return sorted(
            node
            for one in self.resources
            if one.id.split(":")[0] == resource and one.active and not one.pending
            for node in one.nodes
        )


def parse(text: str) -> Status:
    """Read the output of crm_mon --output-as=xml."""
    root = ET.fromstring(text)
    coordinator = root.find("./summary/current_dc")
    about = {} if coordinator is None else coordinator.attrib
    return Status(
        quorum=about.get("with_quorum") == "true",
        coordinator=about.get("name", ""),
        nodes={
            node.get("name", ""): NodeState(
                *(node.get(name) == "true" for name in ("online", "unclean", "pending", "standby"))
            )
            for node in root.findall("./nodes/node")
        },
        resources=[_resource(one) for one in root.findall("./resources//resource")],
        fencing=[
            FenceEvent(
                *(
                    event.get(name, "")
                    for name in ("action", "target", "delegate", "status", "exit-reason")
                )
            )
            for event in root.findall(".//fence_event")
        ],
        failures=[dict(one.attrib) for one in root.findall("./failures/failure")],
    )


def _resource(one: ET.Element) -> Resource:
    return Resource(
        id=one.get("id", ""),
        agent=one.get("resource_agent", ""),
        role=one.get("role", ""),
        active=one.get("active") == "true",
        failed=one.get("failed") == "true",
        pending=one.get("pending", ""),
        nodes=tuple(node.get("name", "") for node in one.findall("node")),
    )


def _pairs(kind: str, owner: str, values: Mapping[str, object]) -> str:
    """Return <instance_attributes>, <meta_attributes> and the like."""
    if not values:
        return ""
    pairs = "".join(
        f"<nvpair id={quoteattr(f'{owner}-{kind}-{name}')} name={quoteattr(name)}"
        f" value={quoteattr(str(value))}/>"
        for name, value in values.items()
    )
    return f'<{kind} id="{owner}-{kind}">{pairs}</{kind}>'


def first_cib(properties: Mapping[str, object], resources: str = "") -> str:
    """Return the configuration that a node begins with."""
    pairs = "".join(
        f"<nvpair id={quoteattr(f'cib-bootstrap-options-{name}')} name={quoteattr(name)}"
        f" value={quoteattr(str(value))}/>"
        for name, value in properties.items()
    )
    return (
        '<cib validate-with="pacemaker-3.0" admin_epoch="0" epoch="1" num_updates="0">'
        '<configuration><crm_config><cluster_property_set id="cib-bootstrap-options">'
        f"{pairs}</cluster_property_set></crm_config><nodes/><resources>{resources}</resources>"
        "<constraints/></configuration><status/></cib>"
    )


def stonith(
    members: Sequence[str],
    parameters: Mapping[str, object],
    name: str = "fence",
    agent: str = AGENT,
    monitor_s: int = 60,
    meta: Mapping[str, object] = UNFENCING,
) -> str:
    """Return the XML of a stonith primitive; `parameters`, its devices first, override or add."""
    values: dict[str, object] = {
        "pcmk_host_list": " ".join(members),
        "pcmk_off_timeout": f"{OFF_TIMEOUT_S}s",
        **parameters,
    }
    return (
        f'<primitive id="{name}" class="stonith" type="{agent}">'
        + _pairs("instance_attributes", name, {k: v for k, v in values.items() if v is not None})
        + _pairs("meta_attributes", name, meta)
        + f'<operations><op id="{name}-monitor" name="monitor" interval="{monitor_s}s"'
        ' timeout="30s"/></operations></primitive>'
    )


def values(primitive: ET.Element) -> dict[str, str]:
    """Return what makes a primitive what it is, in no order."""
    found = {pair.get("id", ""): pair.get("value", "") for pair in primitive.iter("nvpair")}
    for operation in primitive.iter("op"):
        found[operation.get("id", "")] = f"{operation.get('interval')} {operation.get('timeout')}"
    return {**found, "type": primitive.get("type", "")}


def dummy(name: str) -> str:
    """Return the XML of a resource that does nothing."""
    return (
        f'<primitive id="{name}" class="ocf" provider="pacemaker" type="Dummy">'
        f'<operations><op id="{name}-monitor" name="monitor" interval="20s" timeout="30s"/>'
        "</operations></primitive>"
    )


def prefers(resource: str, node: str, score: object = 100) -> str:
    """Return the XML of a location constraint."""
    return (
        f'<rsc_location id="{resource}-on-{node}" rsc="{resource}" node="{node}" score="{score}"/>'
    )
