"""The action clear as a process: what it shows, who may send it, what it removes and what not."""

from __future__ import annotations

import re

import pytest

from fence_prbarrier.key import Key, tag_of_cluster

from .resource import change_nothing, clear_faults
from .stage import CLUSTER, NODES, Result, Stage, assert_refused, finish, run_raw, start

TAG = tag_of_cluster(CLUSTER)
STRANGER = Key.build(0x7E57, 1, 77)
REGISTER, RESERVE, RELEASE, REGISTER_AND_IGNORE = 0, 1, 2, 6
WERO = 5
ALL = {"force": "remove-members", "confirm": 1}
# n2 has left the cluster for good: its number stands in no list any more.
WITHOUT_N2 = {"nodes": "n1:1,n3:3"}


def cleared(result: Result) -> None:
    """It was done, and the last line on stdout says so."""
    assert (result.code, result.err) == (0, ""), result
    assert result.out.endswith("\nSuccess: Cleared\n"), result


def foreign(stage: Stage) -> None:
    """A registration of another cluster on every LU."""
    for unit in (0, 1):
        assert stage.reserve_out("stranger", REGISTER_AND_IGNORE, 0, STRANGER, unit=unit) == 0


def test_all_of_the_cluster_and_nothing_else(joined: Stage) -> None:
    """Keys and reservation go from both LUs; a foreign key stays and is named."""
    foreign(joined)
    keys = [joined.keys(node)[0] for node in ("n1", "n2", "n3")]
    result = joined.do("n1", "clear", **ALL)
    cleared(result)
    for key in keys:
        assert result.out.count(f"remove {Key(key)} node n{Key(key).node}") == 2
    assert result.out.count("remove the reservation, type 5") == 2
    assert result.out.count(f"keep   cluster tag 0x7e57, key {STRANGER}, not this cluster's") == 2
    for unit, picture in enumerate(joined.pictures()):
        assert joined.keys("stranger", unit) == [STRANGER]
        assert sum(line.startswith("registered") for line in picture) == 1
        assert "not reserved" in picture
    again = joined.do("n1", "clear", **ALL)
    assert (again.code, again.err) == (0, "") and again.out.endswith("Success: Already clear\n")
    assert again.out.count("nothing to remove") == 2


def test_what_is_shown(joined: Stage) -> None:
    """To the letter, but for identity, dates and numbers."""
    foreign(joined)
    result = joined.do("n1", "clear", "2", **WITHOUT_N2)
    text = re.sub(r"naa\.[0-9a-f]+", "naa.X", result.out)
    text = re.sub(r"[0-9a-f]{8} node", "I node", text)
    text = re.sub(r"incarnation \d+ \(\d{4}-\d\d-\d\d\)", "incarnation N (D)", text)
    nexus = "on 1 I_T nexus: iqn.2003-08.example.mock:{},i,0x00023d000001"
    expected = [
        f"remove {TAG:04x}:0002:I node 2, in no list, incarnation N (D), {nexus.format('n2')}",
        f"keep   {TAG:04x}:0001:I node n1, incarnation N (D), {nexus.format('n1')}"
        "; holds the reservation",
        f"keep   {TAG:04x}:0003:I node n3, incarnation N (D), {nexus.format('n3')}",
        f"keep   cluster tag 0x7e57, key {STRANGER}, not this cluster's,"
        f" {nexus.format('stranger')}",
        "keep   the reservation, type 5 (Write Exclusive - Registrants Only)",
    ]
    lines = []
    for path in joined.units:
        lines += [f"LU naa.X (mock:{path}):", *(f"  {line}" for line in expected)]
    assert text.splitlines() == lines


def test_without_a_terminal_it_only_shows(joined: Stage) -> None:
    """One line on stderr says how; exit 1, and nothing has changed."""
    before = joined.pictures(), joined.memories()
    shown = joined.do("n1", "clear", force="remove-members")
    assert shown.code == 1 and "remove" in shown.out
    assert shown.err == (
        "clear failed: nothing removed: no terminal to ask at; say confirm=1 (--confirm)\n"
    )
    by_arguments = finish(joined.begin("n1", "clear", force="remove-members"))
    assert by_arguments == shown
    assert (joined.pictures(), joined.memories()) == before
    assert joined.do("n1", "clear", confirm="no", force="remove-members") == shown


@pytest.mark.parametrize("closed", ["<&-", ">&-", "</dev/null", "<&- >&- 2>&-"])
def test_with_closed_descriptors_it_removes_nothing(joined: Stage, closed: str) -> None:
    before = joined.pictures()
    script = f'exec "$0" "$@" {closed}'
    options = joined.options("n1", {"force": "remove-members"})
    given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    process = start(["-o", "clear", *given], joined.folder, prefix=("sh", "-c", script))
    result = finish(process)
    assert result.code == 1 and "Traceback" not in result.err
    assert ("2>&-" in closed) == (result.err == "")
    assert joined.pictures() == before


def test_members_are_not_removed_unless_it_is_forced(joined: Stage) -> None:
    """Naming them, and what to do instead; nothing is removed although it was confirmed."""
    before = joined.pictures()
    for plug in ("", "n2"):
        result = joined.do("n1", "clear", plug, confirm=1)
        assert_refused(result, "n2 (", "evicted by off", "force=remove-members", *joined_(joined))
        assert ("n3 (" in result.err) == (not plug)
        assert "this node itself still uses" in result.err
    assert joined.pictures() == before
    joined.reboot("n1")
    result = joined.do("n1", "clear", confirm=1)
    assert_refused(result, "n2 (", "evicted by off")
    assert "this node itself" not in result.err


def joined_(stage: Stage) -> list[str]:
    """The devices, for a refusal's words."""
    return [f"mock:{path}" for path in stage.units]


@pytest.mark.parametrize("word", ["yes", "1", "remove_members", "all"])
def test_force_is_said_in_so_many_words(joined: Stage, word: str) -> None:
    result = joined.do("n1", "clear", confirm=1, force=word)
    assert_refused(result, f"force='{word}'", "remove-members")
    assert joined.keys("n2")


def test_one_member_by_force(joined: Stage) -> None:
    """Its keys only; the reservation and everybody else stay, the caller too."""
    cleared(joined.do("n3", "clear", "n1", **ALL))  # n1 holds
    for unit in (0, 1):
        assert joined.keys("n1", unit) == []
        assert joined.keys("n2", unit) and joined.keys("n3", unit)
        assert joined.write("n1", unit) == 0x18 and joined.write("n3", unit) == 0
    assert joined.do("n3", "monitor") == (0, "", "")
    assert joined.do("n3", "status", "n1") == (2, "Status: OFF\n", "")


def test_a_node_in_no_list_needs_no_force(joined: Stage) -> None:
    for unit in (0, 1):
        assert joined.keys("n2", unit)
    result = finish(
        start(
            [
                *("-o", "clear", "-n", "2", "--confirm", "-d", joined.devices),
                *("--nodes", WITHOUT_N2["nodes"], "--cluster-name", CLUSTER),
                *("--local-name", "n1", "--state-dir", str(joined.state("n1"))),
            ],
            joined.folder,
        )
    )
    cleared(result)
    assert joined.keys("n2") == joined.keys("n2", 1) == []
    assert joined.do("n1", "monitor", **WITHOUT_N2) == (0, "", "")


@pytest.mark.parametrize("plug", ["n7", "0", "70000", "7x", "-1"])
def test_a_plug_that_is_no_node(joined: Stage, plug: str) -> None:
    before = joined.pictures()
    assert joined.do("n1", "clear", plug, **ALL).code == 1
    assert joined.pictures() == before


def test_by_a_node_that_has_not_joined(joined: Stage) -> None:
    """Another node's keys are a member's to remove, holder or not; all of them are anybody's."""
    nodes = f"{NODES},n4:4"
    before = joined.pictures()
    change_nothing(joined, "n4")
    for plug in ("n1", "n2"):
        refused = joined.do("n4", "clear", plug, nodes=nodes, **ALL)
        assert_refused(refused, "not registered on the LU in this boot", "joined the LU", "all of")
    assert joined.pictures() == before
    clear_faults(joined)
    again = joined.do("n4", "clear", "n4", nodes=nodes, **ALL)
    assert again.code == 0 and again.out.endswith("Success: Already clear\n")
    cleared(joined.do("n4", "clear", nodes=nodes, **ALL))
    assert all(picture[1:] == ["nobody registered", "not reserved"] for picture in shape(joined))


def test_an_evicted_node_clears_nothing_and_stays_out(joined: Stage) -> None:
    """A temporary key would let it write again; status and off of it stay true (rules 3 and 4)."""
    two = "n1:1,n2:2"
    assert joined.do("n2", "off", "n1").code == 0
    before = joined.pictures()
    for unit in (0, 1):
        joined.fault("dead-path op=5f skip=2", unit)
    for plug, nodes in (("3", two), ("n2", NODES), ("", NODES)):
        result = joined.do("n1", "clear", plug, nodes=nodes, **ALL)
        assert_refused(result, "has been evicted since: reboot it, then clear", *joined_(joined))
    clear_faults(joined)
    assert joined.pictures() == before and not joined.keys("n1")
    assert joined.write("n1") == 0x18
    assert joined.do("n2", "status", "n1") == (2, "Status: OFF\n", "")
    assert joined.do("n2", "off", "n1").out == "Success: Already OFF\n"
    joined.reboot("n1")
    cleared(joined.do("n1", "clear", **ALL))


def test_a_node_that_never_joined_leaves_no_key_under_another_number(joined: Stage) -> None:
    """Another node's keys are refused; where all go, what a dead path leaves is its own."""
    nodes = f"{NODES},n4:4"
    for unit in (0, 1):
        joined.fault("dead-path op=5f skip=2", unit)
    result = joined.do("n4", "clear", "n2", nodes=nodes, **ALL)
    assert_refused(result, "not registered on the LU in this boot")
    assert not joined.keys("n4")
    result = joined.do("n4", "clear", nodes=nodes, **ALL)
    assert result.code == 1 and "NO_CONNECT" in result.err and "run clear again" in result.err
    clear_faults(joined)
    (left,) = joined.keys("n4")
    assert Key(left).node == 4
    assert joined.do("n1", "status", "n4", nodes=nodes) == (0, "Status: ON\n", "")
    assert joined.do("n1", "off", "n4", nodes=nodes).out == "Success: Powered OFF\n"
    assert not joined.keys("n4")


def shape(stage: Stage) -> list[list[str]]:
    """The pictures without the generation."""
    return [["", *picture[1:]] for picture in stage.pictures()]


def test_a_node_clears_itself(joined: Stage) -> None:
    """Where it does not hold; and the last one goes with the reservation."""
    refused = joined.do("n1", "clear", "n1", **ALL)
    assert_refused(refused, "the barrier falls for")
    for node in ("n2", "n3", "n1"):
        cleared(joined.do(node, "clear", node, **ALL))
        assert joined.keys(node) == joined.keys(node, 1) == []
    assert all(picture[-2:] == ["nobody registered", "not reserved"] for picture in shape(joined))


def test_nodename_is_refused(joined: Stage) -> None:
    """Pacemaker always sends it, so no Pacemaker can clear anything, whatever is configured."""
    before = joined.pictures()
    for name in ("n2", ""):
        result = joined.do("n1", "clear", nodename=name, **ALL)
        assert_refused(result, "clear is for people; no cluster manager may send it", "plug")
    assert joined.pictures() == before


def test_an_empty_plug_does_not_mean_all(joined: Stage) -> None:
    """A script with an unset variable."""
    before = joined.pictures()
    lines = [f"{name}={value}" for name, value in joined.options("n1", ALL).items()]
    for name in ("plug", "port"):
        stdin = "\n".join(["action=clear", f"{name}=", *lines, ""]).encode()
        assert_refused(run_raw(stdin, joined.folder), f"{name} is empty", "leave")
    assert joined.pictures() == before


def test_who_has_no_number_clears_nothing(joined: Stage) -> None:
    before = joined.pictures()
    assert_refused(joined.do("n9", "clear", **ALL), "'n9'", "local_name")
    assert joined.pictures() == before


def test_only_the_devices_of_this_call(joined: Stage) -> None:
    """By devices or devices_file; a LU that is not named stays as it is."""
    assert_refused(joined.do("n1", "clear", devices=None, **ALL), "devices")
    listed = joined.folder / "list"
    listed.write_text(f"mock:{joined.units[1]}  # leaves the cluster\n")
    before = joined.pictures()[0]
    cleared(joined.do("n1", "clear", devices=None, devices_file=listed, **ALL))
    assert joined.pictures()[0] == before
    assert joined.keys("n1", 1) == joined.keys("n2", 1) == []


def test_one_lu_that_may_not_be_cleared_spares_the_other(joined: Stage) -> None:
    """Rule 6, and a LU that cannot be read: nothing is removed from any."""
    key = joined.keys("n1", 1)[0]
    assert joined.reserve_out("n1", RELEASE, key, kind=WERO, unit=1) == 0
    foreign(joined)
    assert joined.reserve_out("stranger", RESERVE, STRANGER, kind=WERO, unit=1) == 0
    before = joined.pictures()
    assert_refused(joined.do("n1", "clear", **ALL), "0x7e57", f"mock:{joined.units[1]}")
    joined.fault("dead-path op=5e", 0)
    result = joined.do("n1", "clear", devices=f"mock:{joined.units[0]}", **ALL)
    assert_refused(result, "NO_CONNECT", f"mock:{joined.units[0]}")
    assert joined.pictures() == before


@pytest.mark.parametrize("change", ["key", "holder", "foreign"])
def test_what_changed_since_it_was_shown(joined: Stage, change: str) -> None:
    """The second look of two finds it: nothing is removed from any LU."""
    from fence_prbarrier.agent import clearing

    unit, before = 1, joined.pictures()
    shown = _in_process(joined, lambda task, pipe: clearing.show(task, pipe, False))
    assert shown.code == clearing.SHOWN
    if change == "key":
        fresh = Key.build(TAG, 2, 4_000_000_000)
        assert joined.reserve_out("new", REGISTER_AND_IGNORE, 0, fresh, unit=unit) == 0
    elif change == "holder":
        first, second = joined.keys("n1", unit)[0], joined.keys("n2", unit)[0]
        assert joined.reserve_out("n1", RELEASE, first, kind=WERO, unit=unit) == 0
        assert joined.reserve_out("n2", RESERVE, second, kind=WERO, unit=unit) == 0
    else:
        assert joined.reserve_out("x", REGISTER_AND_IGNORE, 0, STRANGER, unit=unit) == 0
    answer = _in_process(joined, lambda task, pipe: clearing.remove(task, pipe, False, shown.out))
    assert answer.code == 1 and answer.out == []
    (text,) = answer.err
    assert "changed since it was shown, so nothing was removed from any LU" in text
    assert f"mock:{joined.units[unit]}" in text and str(joined.units[0]) not in text
    assert joined.pictures()[0] == before[0]
    assert all(joined.keys(node, unit) for node in ("n1", "n2", "n3"))


def _in_process(stage: Stage, work: object) -> object:
    """One half of clear, in this process."""
    import time

    from fence_prbarrier.agent.parameters import Options
    from fence_prbarrier.agent.task import Task
    from fence_prbarrier.cluster import build_cluster

    class Silent:
        def report(self, kind: str, text: str) -> None:
            """Nobody listens."""

    options = Options(stage.options("n1", {"force": "remove-members"}))
    cluster = build_cluster(CLUSTER, "", NODES)
    task = Task("clear", options, cluster, "n1", "", time.monotonic() + 30)
    return work(task, Silent())  # type: ignore[operator]


def test_confirm_and_force_are_nothing_to_other_actions(joined: Stage) -> None:
    assert joined.do("n1", "status", "n2", **ALL) == (0, "Status: ON\n", "")
    assert joined.do("n1", "off", "n2", **ALL) == (0, "Success: Powered OFF\n", "")


def test_help_and_manual_page_know_it_and_the_metadata_do_not(joined: Stage) -> None:
    for words, there in (
        (["--help"], True),
        (["-o", "manpage"], True),
        (["-o", "metadata"], False),
    ):
        text = finish(start(words, joined.folder)).out
        for word in ("clear", "--confirm", "--force", "remove-members"):
            assert (word.replace("-", "\\-") in text or word in text) == there, (words, word)
