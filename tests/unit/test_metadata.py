"""The exported XML: the same as the table of parameters makes, and of the right form."""

from __future__ import annotations

import os

import pytest
from lxml import etree

from fence_prbarrier.agent.metadata import metadata
from fence_prbarrier.agent.parameters import ACTIONS, PARAMETERS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXPORTED = os.path.join(ROOT, "metadata", "fence_prbarrier.xml")
OWN_SCHEMA = os.path.join(ROOT, "metadata", "fence-agent.rng")
# What others check an agent by: fence-agents' schema and pcs's, from Debian's packages.
OUTSIDE_SCHEMAS = ("/usr/share/cluster/relaxng/metadata.rng", "/usr/share/pcs/data/ocf-1.0.rng")


def test_the_exported_file_is_up_to_date() -> None:
    """``make metadata`` writes it anew."""
    with open(EXPORTED, encoding="utf-8") as file:
        assert file.read() == metadata()


@pytest.mark.parametrize("schema", [OWN_SCHEMA, *OUTSIDE_SCHEMAS])
def test_valid(schema: str) -> None:
    if not os.path.exists(schema):
        if os.environ.get("CI"):
            pytest.fail(f"{schema} is not there; tests/lab/deps.sh installs it")
        pytest.skip(f"{schema} is not there; tests/lab/deps.sh installs it")
    etree.RelaxNG(etree.parse(schema)).assertValid(etree.parse(EXPORTED))


@pytest.mark.parametrize(
    "damage",
    [
        lambda root: root.set("version", "1"),
        lambda root: root.find(".//parameter").set("required", "true"),
        lambda root: etree.SubElement(root.find(".//parameter"), "longdesc"),
        lambda root: root.find(".//action").set("timeout", "60"),
        lambda root: root.find(".//content").set("type", "number"),
        lambda root: root.find("actions").append(etree.Element("action", name="reboot")),
    ],
)
def test_own_schema_can_fail(damage: object) -> None:
    tree = etree.parse(EXPORTED)
    damage(tree.getroot())  # type: ignore[operator]
    assert not etree.RelaxNG(etree.parse(OWN_SCHEMA)).validate(tree)


def test_what_pacemaker_needs() -> None:
    """plug obsoletes port, both published; on is unfencing on the target; no reboot."""
    root = etree.fromstring(metadata().encode())
    named = {entry.get("name"): entry for entry in root.iter("parameter")}
    assert list(named) == [parameter.name for parameter in PARAMETERS if not parameter.people]
    assert named["plug"].get("obsoletes") == "port"
    assert named["port"].get("deprecated") == "1"
    actions = {entry.get("name"): entry for entry in root.iter("action")}
    assert list(actions) == [action.name for action in ACTIONS if not action.people]
    assert dict(actions["on"].attrib) == {"name": "on", "on_target": "1", "automatic": "1"}
    assert "reboot" not in actions


def test_no_two_options_share_a_name() -> None:
    longs = [parameter.long for parameter in PARAMETERS]
    shorts = [parameter.short for parameter in PARAMETERS if parameter.short]
    assert len(set(longs)) == len(longs)
    assert len(set(shorts)) == len(shorts)


def test_what_is_for_people_is_not_exported() -> None:
    """clear, and what goes with it: no configuration is to hold them."""
    text = metadata()
    assert {each.name for each in (*ACTIONS, *PARAMETERS) if each.people} == {
        "clear", "confirm", "force",
    }  # fmt: skip
    assert not any(f'name="{name}"' in text for name in ("clear", "confirm", "force"))


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_every_default_is_a_value_that_is_taken(parameter: object) -> None:
    default = parameter.default  # type: ignore[attr-defined]
    if default:
        parameter.check(default)  # type: ignore[attr-defined]
