"""The agent's own commands on the pages, run as they stand, and what they print."""

from __future__ import annotations

import re

from ..fenced.node import Node
from . import machine, pages
from .machine import agent, shell


def join(node: Node, *names: str, **options: object) -> None:
    """Have nodes join, each in a boot of its own."""
    for name in names:
        own = {"local_name": name, "state_dir": f"{machine.WORK}/state-{name}", **options}
        if name == node.name:
            own.pop("state_dir")
        done = agent(node, "on", name, **own)
        assert done.out == "Success: Powered ON\n", done


def evict(node: Node, name: str, by: str) -> None:
    """Have one node evict another."""
    own = {"local_name": by, "state_dir": f"{machine.WORK}/state-{by}"}
    done = agent(node, "off", name, **own)
    assert done.out == "Success: Powered OFF\n", done


def test_validate(node: Node) -> None:
    """Silent where all is well; a line that names the device where a disk is not there."""
    done = shell(node, pages.step("sh", "validate"))
    assert (done.out, done.err) == (pages.prints("sh", "validate"), "")
    missing = pages.step("sh", "validate").replace(pages.DISKS[1], "/dev/disk/by-id/none")
    done = shell(node, missing.replace("echo $?", ""))
    assert done.code == 1
    assert "device /dev/disk/by-id/none: is not there" in done.err


def test_list(node: Node) -> None:
    """Every node that has joined is ON; an evicted one is OFF."""
    join(node, "n1", "n2", "n3")
    done = shell(node, pages.step("sh", "list"))
    assert (done.out, done.err) == (pages.prints("sh", "list"), "")
    evict(node, "n1", by="n2")
    done = shell(node, pages.step("sh", "list"))
    assert done.out == pages.prints("sh", "list").replace("n1,1,ON", "n1,1,OFF")


def test_rejoin(node: Node) -> None:
    """An evicted node is told to reboot, in the page's words, until a person allows it."""
    join(node, "n1", "n2")
    evict(node, "n1", by="n2")
    refused = agent(node, "on", "n1")
    text = " ".join(pages.prose(pages.DOCS / "node.md"))
    told = text[text.index("on failed: LU") : text.index("reboot it, …")]
    assert refused.code == 1
    for part in told.split("…"):
        assert " ".join(part.strip(": ").split()) in refused.err, (part, refused)
    done = shell(node, pages.step("sh", "rejoin"))
    assert (done.out, done.err) == (pages.prints("sh", "rejoin"), "")


def test_a_disk_is_added(node: Node) -> None:
    """A line in the file and `on`, without a change of any attribute; off fails in between."""
    listed = {"devices": "", "devices_file": "/etc/fence_prbarrier.devices"}
    file = pages.files()["/etc/fence_prbarrier.devices"]
    node.path(f"{machine.WORK}/devices").write_text(machine.simulated(node, file))
    join(node, "n1", "n2", **listed)
    append, join_by_hand = pages.step("sh", "add").strip().split("\n")
    assert shell(node, append).code == 0
    early = agent(node, "off", "n2", **listed)
    assert early.code == 1, early
    done = shell(node, join_by_hand)
    assert (done.out, done.err) == (pages.prints("sh", "add"), "")
    assert agent(node, "on", "n1").out == "Success: Already ON\n"  # on both disks by name
    join(node, "n2", **listed)
    assert agent(node, "off", "n2", **listed).out == "Success: Powered OFF\n"


def test_a_pattern_in_the_file(node: Node) -> None:
    """It stands for both disks."""
    join(node, "n2", "n3")
    done = shell(node, pages.step("sh", "pattern"))
    assert (done.out, done.err) == (pages.prints("sh", "pattern"), "")


def plain(text: str) -> str:
    """What clear shows, without what differs from disk to disk and from boot to boot."""
    text = re.sub(r"LU \S+ \(.*\):", "LU:", text)
    text = re.sub(r"[0-9a-f]{4}:([0-9a-f]{4}):[0-9a-f]{8}", r"T:\1:I", text)
    text = re.sub(r"incarnation \d+ \(\d{4}-\d\d-\d\d\)", "incarnation", text)
    return re.sub(r"iqn\.\S+?([:.])(n\d),i,0x[0-9a-f]+", r"\2", text)


def test_a_disk_is_cleared_when_it_has_left(node: Node) -> None:
    """At a terminal, as the page shows it; any other answer, and none, removes nothing."""
    join(node, "n1", "n2")
    command = pages.step("sh", "clear-disk")
    node.path(f"{machine.WORK}/clear.sh").write_text(machine.simulated(node, command))
    wanted = plain(pages.prints("sh", "clear-disk"))
    at_a_terminal = "printf '%s\\n' {} | script -qec 'sh clear.sh' /dev/null"
    for answer in ("no", "yes"):
        assert agent(node, "status", "n2").out == "Status: ON\n"
        done = shell(node, at_a_terminal.format(answer))
        said = plain(done.out.replace("\r", "").replace(f"{answer}\n", "", 1))
        question = "Type yes to remove this: "
        assert question in said
        if answer == "yes":
            assert done.code == 0
            assert said.replace(question, f"{question}yes\n") == wanted
        else:
            assert done.code == 1 and "nothing removed" in said
    left = agent(node, "status", "n2", devices=pages.DISKS[1])
    assert left.code == 1 and "no reservation stands" in left.err
    assert agent(node, "status", "n2", devices=pages.DISKS[0]).out == "Status: ON\n"


def test_a_node_is_cleared_that_has_left(node: Node) -> None:
    """Its number is in no list; without confirm and a terminal it is only shown."""
    join(node, "n1", "n2", "n3")
    conf = node.path("/etc/corosync/corosync.conf")
    conf.write_text(machine.corosync_conf(["n1", "n2"]))
    command = pages.step("sh", "clear-node")
    shown = shell(node, f"set +e\n{command.replace(' --confirm', '')}")
    wanted = plain(pages.prints("sh", "clear-node"))
    assert shown.code == 1 and "nothing removed: no terminal" in shown.err
    assert plain(shown.out) == wanted.replace("Success: Cleared\n", "")
    done = shell(node, command)
    assert (done.code, done.err, plain(done.out)) == (0, "", wanted)
    again = shell(node, command)
    assert again.out.endswith(f"{_told()}\n") and again.code == 0


def _told() -> str:
    """What the page says that it says where there is nothing to remove."""
    text = " ".join(pages.prose(pages.DOCS / "clearing.md"))
    (told,) = [word for word in pages.words_in(text) if word.startswith("Success: Already")]
    return told


def test_checks_of_fence_scsi_are_removed(node: Node) -> None:
    """The files go; where they are not there nothing is amiss."""
    folder = node.path("/run/cluster")
    folder.mkdir()
    (folder / "fence_scsi.key").write_text("1\n")
    commands = pages.step("sh", "checks")
    assert "/etc/watchdog.d/fence_scsi_check" in commands
    here = commands.replace("/etc/watchdog.d", f"{machine.WORK}/watchdog.d")
    done = shell(node, here)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert list(folder.iterdir()) == []


def test_watchdog(node: Node) -> None:
    """The check's answer: not joined, joined, evicted, and disks that bear nothing any more."""
    check = pages.step("sh", "watchdog").replace("/etc/watchdog.d", machine.WATCHDOG)
    well = pages.prints("sh", "watchdog")
    assert shell(node, check).out == well
    join(node, "n1", "n2")
    assert shell(node, check).out == well
    evict(node, "n1", by="n2")
    evicted = shell(node, f"set +e\n{check}")
    assert evicted.out.splitlines()[-1] == "255"
    assert shell(node, f"set +e\n{check.replace(' test', ' repair 255')}").out.endswith("255\n")
    for number in range(len(pages.DISKS)):
        (node.folder / f"lu{number}").rename(node.folder / f"gone{number}")
    assert shell(node, check).out.splitlines()[-1] == well.strip()
