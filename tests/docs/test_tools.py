"""The documented commands on a configuration in a file: by pcs, by crmsh and by hand, the same."""

from __future__ import annotations

import pytest

from ..fenced.node import Node
from . import machine, pages
from .configured import shape, without_extra_operations
from .machine import CIB, shell

WAYS = ("xml", "pcs", "crm")
SCENARIOS = {
    "three nodes": ("fence", "barrier", "data", "levels"),
    "two nodes, from fence_scsi": (
        "old",
        "fence",
        "barrier",
        "data",
        "any delay",
        "any priority",
        "any load",
    ),
}
SCHEMA = "/usr/share/pacemaker/pacemaker-3.9.rng"
# What a cluster has that comes from fence_scsi.
SCSI = """<primitive id="scsi" class="stonith" type="fence_scsi">
<instance_attributes id="scsi-params">
<nvpair id="scsi-devices" name="devices" value="/dev/sda"/></instance_attributes>
<meta_attributes id="scsi-meta"><nvpair id="scsi-provides" name="provides" value="unfencing"/>
</meta_attributes></primitive>"""


def empty(node: Node, scsi: bool = False) -> None:
    """Begin with an empty configuration, or with one that fences by fence_scsi."""
    done = node.run("cibadmin", "--empty")
    assert done.code == 0, done
    node.path(CIB).write_text(done.out)
    if scsi:
        done = shell(node, f"cibadmin --create --scope resources -X '{SCSI}'", CIB_file=CIB)
        assert done.code == 0, done


def written(node: Node, tool: str, steps: tuple[str, ...]) -> str:
    """The configuration that the commands of one tool make."""
    empty(node, scsi="old" in steps)
    for name in steps:
        script = pages.step(*name.split()) if " " in name else pages.step(tool, name)
        done = shell(node, script, CIB_file=CIB)
        assert done.code == 0, (tool, name, done)
        complaints = [line for line in done.err.splitlines() if "Deprecat" not in line]
        assert not any("ERROR" in line or "WARNING" in line for line in complaints), done
    done = node.run("crm_verify", "--xml-file", CIB, "--verbose")
    assert done.code == 0, (tool, done)
    done = node.run("xmllint", "--noout", "--relaxng", SCHEMA, CIB)
    assert done.code == 0, (tool, done)
    return node.path(CIB).read_text()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_three_ways_to_one_configuration(node: Node, scenario: str) -> None:
    """What pcs and crmsh make equals what the XML says, and the schema takes all three."""
    steps = SCENARIOS[scenario]
    made = {tool: shape(written(node, tool, steps)) for tool in WAYS}
    wanted = made["xml"]
    assert set(wanted["primitives"]) >= {"fence", "barrier", "data"}
    assert wanted["primitives"]["fence"][2] == {"provides": "unfencing"}
    assert wanted["clones"] == {"barrier-clone": (["barrier"], {"interleave": "true"})}
    assert len(wanted["constraints"]) == 2
    assert len(wanted["levels"]) == (2 if "levels" in steps else 0)
    assert "scsi" not in wanted["primitives"]
    for tool in ("pcs", "crm"):
        assert without_extra_operations(made[tool], wanted) == wanted, tool


def test_a_file_of_devices(node: Node) -> None:
    """The stonith resource and the clone read the same file."""
    made = shape(written(node, "pcs", ("file",)))
    for name in ("fence", "barrier"):
        parameters = made["primitives"][name][1]
        assert parameters["devices_file"] == f"{machine.WORK}/devices", name
        assert "devices" not in parameters


def test_crm_and_xml_say_unfencing_themselves(node: Node) -> None:
    """Nothing adds provides=unfencing for them; pcs does it without being told."""
    assert "provides" not in pages.step("pcs", "fence")
    empty(node)
    script = pages.step("crm", "fence").replace("meta provides=unfencing", "")
    assert shell(node, script.replace("\\\n    \n", "\n"), CIB_file=CIB).code == 0
    assert shape(node.path(CIB).read_text())["primitives"]["fence"][2] == {}
