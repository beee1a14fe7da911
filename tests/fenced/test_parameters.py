"""How the fencer names the node to the agent, and how it validates and describes a device."""

from __future__ import annotations

import os

import pytest
from lxml import etree

from ..agent.stage import ROOT, Result, Stage
from .node import AGENT, DEVICE, LISTENER, USER, Node, as_words, parameters

EXPORTED = ROOT / "metadata" / "fence_prbarrier.xml"


def fence(node: Node, stage: Stage, target: str, **options: object) -> dict[str, str]:
    """Join as n1, and fence with these options; what the agent was told then."""
    node.register(DEVICE, parameters(stage), LISTENER)
    node.succeed("--unfence", "localhost")
    node.register(DEVICE, parameters(stage, **options), LISTENER)
    node.succeed("--fence", target)
    (call,) = (call for call in node.heard() if call["action"] == "off")
    return call


@pytest.fixture
def joined(node: Node, stage: Stage) -> Node:
    """n1; n2 has joined, and is not there any more."""
    assert stage.do("n2", "on", "n2").code == 0
    assert stage.keys("n2") != []
    return node


@pytest.mark.parametrize("alias", ["n2", "2"])
def test_a_map_gives_the_agent_its_own_name(joined: Node, stage: Stage, alias: str) -> None:
    """The cluster's name for it goes along as nodename, and is not what counts."""
    call = fence(joined, stage, "beta", pcmk_host_map=f"localhost:n1;beta:{alias}")
    assert (call["port"], call["nodename"]) == (alias, "beta")
    assert "plug" not in call
    assert stage.keys("n2") == stage.keys("n2", 1) == []
    assert len(stage.keys("n1")) == 1


def test_a_map_is_the_whole_list(joined: Node, stage: Stage) -> None:
    """Who is not in it cannot be fenced, though the agent knows it."""
    before = stage.pictures()
    options = parameters(stage, pcmk_host_map="localhost:n1;alpha:n1")
    joined.register(DEVICE, options)
    assert "No such device" in joined.fail("--fence", "n2")
    assert stage.pictures() == before


def test_a_list_decides_who_can_be_fenced(joined: Node, stage: Stage) -> None:
    """The agent's own list is not asked for then."""
    options = parameters(stage, pcmk_host_list="localhost n2")
    del options["pcmk_host_map"]
    joined.register(DEVICE, options, LISTENER)
    # As this node is not called localhost there, it joins by hand.
    assert stage.do("n1", "on", "n1", state_dir=joined.path(f"/run/{AGENT}")).code == 0
    assert "No such device" in joined.fail("--fence", "n3")
    joined.succeed("--fence", "n2")
    assert stage.keys("n2") == stage.keys("n2", 1) == []
    assert {call["action"] for call in joined.heard()} == {"metadata", "off"}


@pytest.mark.parametrize(
    ("argument", "told"), [("port", "port"), ("plug", "plug"), ("none", ""), ("", "port")]
)
def test_every_name_of_the_node_serves(
    joined: Node, stage: Stage, argument: str, told: str
) -> None:
    """Of itself Pacemaker says port, as long as the metadata have it, deprecated or not."""
    options = {"pcmk_host_argument": argument} if argument else {}
    call = fence(joined, stage, "n2", **options)
    assert call["nodename"] == "n2"
    named = {name: value for name, value in call.items() if name in ("plug", "port")}
    assert named == ({told: "n2"} if told else {})
    assert stage.keys("n2") == stage.keys("n2", 1) == []
    assert len(stage.keys("n1")) == 1
    assert joined.warnings() == []


def validate(node: Node, options: dict[str, object], user: str = "") -> Result:
    return node.admin("--validate", "--agent", AGENT, *as_words(options), user=user)


def test_validate(node: Node, stage: Stage) -> None:
    """Good: success, and no complaint.  The fencer knows no device for it."""
    before = stage.pictures()
    result = validate(node, parameters(stage))
    assert (result.code, result.err) == (0, "")
    assert [line for line in result.out.splitlines() if line] == [
        f"Validation of {AGENT} succeeded"
    ]
    assert stage.pictures() == before


@pytest.mark.parametrize(
    ("user", "wrong", "words"),
    [
        ("", {"devices": "/dev/not-there"}, ("device /dev/not-there:", "is not there")),
        (USER, {}, ("/lu0, ", "/lu1: ", "Permission denied")),
    ],
)
def test_validate_names_what_is_wrong(
    node: Node, stage: Stage, user: str, wrong: dict[str, object], words: tuple[str, ...]
) -> None:
    """One line below Pacemaker's own.  The user hacluster may not open a disk, which is said."""
    result = validate(node, {**parameters(stage), **wrong}, user)
    assert result.code == 1
    told, *lines = [line for line in (result.out + result.err).splitlines() if line]
    assert told == f"Validation of {AGENT} failed"
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize("user", ["", USER])
def test_metadata(node: Node, user: str) -> None:
    """Of the installed agent, whoever asks: what is exported."""
    result = node.admin("--metadata", "--agent", AGENT, user=user)
    assert (result.code, result.err) == (0, "")
    shown, exported = etree.fromstring(result.out.encode()), etree.parse(str(EXPORTED)).getroot()
    for kind in ("parameter", "action"):
        names = [entry.get("name") for entry in exported.iter(kind)]
        # Pacemaker adds what every resource has.
        told = [entry.get("name") for entry in shown.iter(kind)]
        assert [name for name in told if name not in ("start", "stop")] == names
    assert AGENT in node.admin("--list-installed", user=user).out.split()


def test_the_user_hacluster_fences(joined: Node, stage: Stage) -> None:
    """The fencer does it, as root: its clients need no right to the disks."""
    joined.register(DEVICE, parameters(stage))
    for words in (("--unfence", "localhost"), ("--query", DEVICE), ("--fence", "n2")):
        result = joined.admin(*words, user=USER)
        assert result == (0, "", ""), words
    assert stage.keys("n2") == stage.keys("n2", 1) == []
    assert os.stat(joined.path(f"/run/{AGENT}")).st_uid == 0
