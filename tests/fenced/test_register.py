"""What the fencer asks of a device: metadata, targets, monitor."""

from __future__ import annotations

import re

from ..agent.stage import Stage, initiator
from .node import DEVICE, LISTENER, Node, Two, parameters

UNTOUCHED = ["PRGENERATION 0, registrations are lost with power", "nobody registered"]


def found(node: Node, *words: str) -> list[str]:
    """What a query lists; its last line counts it."""
    lines = node.admin(*words).out.splitlines()
    return [line for line in lines if " found" not in line]


def test_registration_asks_for_the_metadata_alone(node: Node, stage: Stage) -> None:
    """No disk is touched: a fence device is configured before its disks need to be there."""
    options = parameters(stage)
    stage.fault(f"dead-path initiator={initiator('n1')}")
    node.register(DEVICE, options, LISTENER)
    assert node.heard() == [{"action": "metadata"}]
    assert found(node, "--list-registered") == [DEVICE]
    assert all(picture[:2] == UNTOUCHED for picture in stage.pictures())
    log = node.log()
    assert f"'{DEVICE}' requires unfencing" in log
    assert re.search(rf"'{DEVICE}' requires actions \(on\) to be executed on target", log)
    node.succeed("--deregister", DEVICE)
    assert found(node, "--list-registered") == []


def test_targets_are_the_nodes_by_name_and_number(node: Node, stage: Stage) -> None:
    """Without a map or a list Pacemaker asks the agent, which needs no disk for an answer."""
    options = parameters(stage)
    del options["pcmk_host_map"]
    stage.fault(f"dead-path initiator={initiator('n1')}")
    node.register(DEVICE, options, LISTENER)
    assert found(node, "--list-targets", DEVICE) == ["n1", "1", "n2", "2", "n3", "3"]
    for target in ("n1", "n3", "2"):
        assert found(node, "--list", target) == [DEVICE]
    assert found(node, "--list", "n4") == []
    assert {call["action"] for call in node.heard()} == {"metadata", "list"}


def test_a_query_is_a_monitor(two: Two, stage: Stage) -> None:
    """A node that has been evicted, or sees a disk no more, cannot fence.

    The exit code does not tell: where the monitor fails, stonith_admin takes a list
    that succeeds for an answer.
    """
    n1, n2 = two
    n1.succeed("--query", DEVICE)
    n2.succeed("--query", DEVICE)
    assert n1.warnings() == n2.warnings() == []
    n1.succeed("--fence", "n2")
    n2.admin("--query", DEVICE)
    assert re.search(r"Operation 'monitor'.* returned:? 1", n2.log())
    assert n2.warnings()[-1].startswith("monitor failed: LU ")
    assert "evicted" in n2.warnings()[-1]
    stage.fault(f"dead-path initiator={initiator('n1')}", unit=1)
    n1.admin("--query", DEVICE)
    assert re.search(r"Operation 'monitor'.* returned:? 1", n1.log())
    assert str(stage.units[1]) in n1.warnings()[-1]


def test_a_query_before_the_first_join(node: Node, stage: Stage) -> None:
    """Pacemaker starts a fence device before it unfences the node."""
    node.register(DEVICE, parameters(stage))
    node.succeed("--query", DEVICE)
    assert node.warnings() == []
    assert all(picture[:2] == UNTOUCHED for picture in stage.pictures())


def test_status_as_the_check(node: Node, stage: Stage) -> None:
    """pcmk_host_check=status: who is on or off can be fenced, who is unknown cannot.

    But only once the barrier stands: before, status fails, so with this check no node
    would ever be unfenced for the first time.
    """
    options = parameters(stage, pcmk_host_check="status", pcmk_status_retries=1)
    del options["pcmk_host_map"]
    node.register(DEVICE, options, LISTENER)
    assert found(node, "--list", "n1") == []
    assert "no reservation stands" in node.warnings()[-1]
    for name in ("n1", "n2"):
        assert stage.do(name, "on", name).code == 0
    for target, able in (("n2", True), ("n3", True), ("n4", False)):
        assert found(node, "--list", target) == ([DEVICE] if able else [])
        assert (node.heard()[-1]["action"], node.heard()[-1]["port"]) == ("status", target)
