"""The documented commands on a running Pacemaker, alone in its cluster, with simulated disks.

What the pages say of Pacemaker is seen here; what they say of several nodes, in the lab.
"""

from __future__ import annotations

from ..fenced.node import Node, wait_for
from . import machine, pages
from .machine import agent, await_running, log, settle, shell, status

# The clone's monitor on the pages, and here where a test waits for it.
INTERVAL, SHORT_INTERVAL = "monitor interval=20s", "monitor interval=3s"


def configure(node: Node, tool: str, *steps: str) -> None:
    """Run the commands of some steps by one tool."""
    for name in steps:
        done = shell(node, pages.step(tool, name).replace(INTERVAL, SHORT_INTERVAL))
        assert done.code == 0, (tool, name, done)


def empty(node: Node) -> None:
    """Remove every resource and constraint."""
    for section in ("constraints", "resources"):
        done = node.run("cibadmin", "--replace", "--scope", section, "-X", f"<{section}/>")
        assert done.code == 0, done
    wait_for(lambda: (s := status(node)) and not s.resources, "nothing to run", machine.SETTLE_S)
    settle(node)


def fenced(node: Node, victim: str) -> bool:
    """Whether a node has been fenced with success."""
    now = status(node)
    return any((e.target, e.status) == (victim, "success") for e in (now.fencing if now else ()))


def test_configured_live(one: Node) -> None:
    """By each tool: n1 joins both disks before the clone and what depends on it start.

    n2, never seen, is fenced at the start: once n1 has put the barrier up, with success.
    """
    for tool in pages.TOOLS:
        seen = len(log(one))
        configure(one, tool, "fence", "barrier", "data")
        await_running(one, "fence", "barrier", "data")
        now = status(one)
        assert now is not None and now.failures == []
        start = "Requesting local execution of start operation for {} on n1"
        order = [start.format("barrier"), start.format("data")]
        if tool == pages.TOOLS[0]:
            order.insert(0, "Operation 'on' [")
        told = log(one)[seen:]
        places = [told.index(words) for words in order]
        assert places == sorted(places), tool
        empty(one)
    wait_for(lambda: fenced(one, "n2"), "n2 to be fenced", machine.SETTLE_S)
    listed = shell(one, pages.step("sh", "list")).out
    assert listed == "n1,1,ON\nn2,2,OFF\n"
    # A reboot was asked for, and the limit of off counts; Pacemaker's factor is 1.2.
    limit = "Total timeout set to {} for peer's fencing targeting {} "
    assert limit.format(84, "n2") in log(one)
    assert limit.format(36, "n1") in log(one)


def test_an_evicted_node_runs_nothing(one: Node) -> None:
    """The clone fails hard, and what depends on it stops, although Pacemaker runs on."""
    configure(one, "pcs", "fence", "barrier", "data")
    await_running(one, "barrier", "data")
    own = {"local_name": "n2", "state_dir": f"{machine.WORK}/state-n2"}
    assert agent(one, "on", "n2", **own).code == 0
    assert agent(one, "off", "n1", **own).out == "Success: Powered OFF\n"

    def stopped() -> bool:
        now = status(one)
        return now is not None and not now.where("data") and not now.where("barrier")

    wait_for(stopped, "data to stop", machine.SETTLE_S)
    settle(one)
    now = status(one)
    assert now is not None
    assert {f.get("exitreason", "") != "" for f in now.failures} == {True}, now.failures
    assert {f["exitcode"] for f in now.failures if "barrier" in f["op_key"]} == {"4"}
    assert stopped()


def starts(node: Node, resource: str) -> int:
    """How often a resource has been started."""
    words = f"Requesting local execution of start operation for {resource} on"
    return log(node).count(words)


def unfenced(node: Node) -> int:
    """How often the node has been unfenced."""
    return log(node).count("n1 was unfenced by n1")


def test_a_changed_attribute_restarts_everything(one: Node) -> None:
    """A mere time-out: all is stopped, n1 unfenced anew. A changed devices_file: nothing is."""
    file = pages.files()["/etc/fence_prbarrier.devices"]
    one.path(f"{machine.WORK}/devices").write_text(machine.simulated(one, file))
    configure(one, "pcs", "file")
    configure(one, "pcs", "data")
    await_running(one, "fence", "barrier", "data")
    before = starts(one, "data"), starts(one, "barrier"), unfenced(one)
    append, _ = pages.step("sh", "add").strip().split("\n")
    assert shell(one, append).code == 0
    everywhere = pages.step("sh", "list")  # an error while a disk bears no reservation
    wait_for(
        lambda: "n1,1,ON\n" in shell(one, everywhere).out, "the monitor to join", machine.SETTLE_S
    )
    done = shell(one, "crm_attribute --type crm_config --name stonith-timeout --update 91s")
    assert done.code == 0, done
    settle(one)
    assert (starts(one, "data"), starts(one, "barrier"), unfenced(one)) == before
    change = "crm_resource --resource fence --set-parameter pcmk_on_timeout --parameter-value 31s"
    assert shell(one, change).code == 0

    def again() -> bool:
        return (starts(one, "data"), unfenced(one)) == (before[0] + 1, before[2] + 1)

    wait_for(again, "everything to be restarted", machine.SETTLE_S)
    await_running(one, "fence", "barrier", "data")
