"""What a configuration says, whatever tool wrote it: without ids, order and defaults."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

# What an attribute means where it is not there.
DEFAULTS = {
    "rsc_order": {"first-action": "start", "then-action": "start", "kind": "Mandatory"},
    "rsc_colocation": {"score": "INFINITY"},
}
INFINITY = {"INFINITY", "inf", "+INFINITY"}


def shape(cib: str) -> dict[str, Any]:
    """Values that are equal for configurations that are."""
    root = ET.fromstring(cib)
    configuration = root.find("configuration")
    assert configuration is not None
    return {
        "properties": dict(pairs(configuration, "crm_config/cluster_property_set")),
        "primitives": {p.get("id"): primitive(p) for p in configuration.iter("primitive")},
        "clones": {c.get("id"): clone(c) for c in configuration.iter("clone")},
        "constraints": sorted(constraint(c) for c in configuration.findall("constraints/*")),
        "levels": sorted(level(each) for each in configuration.iter("fencing-level")),
    }


def pairs(parent: ET.Element, path: str) -> Iterator[tuple[str, str]]:
    """The names and values of a set; what the tools keep for themselves is left out."""
    for pair in parent.findall(f"{path}/nvpair"):
        name, value = pair.get("name", ""), pair.get("value", "")
        if name not in ("cluster-infrastructure", "cluster-name", "dc-version", "have-watchdog"):
            yield name, value


def primitive(found: ET.Element) -> tuple[Any, ...]:
    """The agent, its parameters, meta attributes and operations."""
    agent = tuple(found.get(name, "") for name in ("class", "provider", "type"))
    operations = {
        (op.get("name"), op.get("interval")): op.get("timeout")
        for op in found.findall("operations/op")
    }
    return (
        agent,
        dict(pairs(found, "instance_attributes")),
        dict(pairs(found, "meta_attributes")),
        operations,
    )


def clone(found: ET.Element) -> tuple[Any, ...]:
    """What is cloned, and how."""
    return [each.get("id") for each in found.findall("primitive")], dict(
        pairs(found, "meta_attributes")
    )


def constraint(found: ET.Element) -> tuple[Any, ...]:
    """A constraint without its id; what is said equals what is meant by default."""
    said = {name: value for name, value in found.attrib.items() if name != "id"}
    if said.get("score") in INFINITY:
        said["score"] = "INFINITY"
    return found.tag, tuple(sorted({**DEFAULTS.get(found.tag, {}), **said}.items()))


def level(found: ET.Element) -> tuple[Any, ...]:
    """A level of the fencing topology without its id."""
    return tuple(sorted((k, v) for k, v in found.attrib.items() if k != "id"))


def without_extra_operations(mine: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Leave out the operations that a tool has added from an agent's metadata."""
    primitives = {}
    for name, (agent, parameters, meta, operations) in mine["primitives"].items():
        asked = wanted["primitives"].get(name, (None, None, None, {}))[3]
        primitives[name] = (
            agent,
            parameters,
            meta,
            {key: value for key, value in operations.items() if key in asked},
        )
    return {**mine, "primitives": primitives}
