"""Names and numbers of nodes: from ``nodes``, from corosync.conf, never from a position."""

from __future__ import annotations

from pathlib import Path

import pytest

from fence_prbarrier.cluster import (
    MAX_NODES,
    Cluster,
    build_cluster,
    parse_nodes,
    parse_tag,
    read_corosync_conf,
)
from fence_prbarrier.errors import InvalidInput
from fence_prbarrier.key import tag_of_cluster

CONF = """totem {
\tversion: 2
\tcluster_name:   prod  \n
\ttransport: knet
}
nodelist {
\tnode {
\t\tring0_addr: 10.1.0.7
\t\tring1_addr: 10.2.0.7
\t\tname: storage-b
\t\tnodeid: 20
\t}
\tnode {
\t\t# name: commented
\t\tring0_addr: storage-a
\t\tnodeid: 3
\t}
}
logging {
\tlogger_subsys {
\t\tsubsys: QUORUM
\t\tname: not-a-node
\t}
}
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "corosync.conf"
    path.write_text(CONF)
    return path


def test_nodes_by_commas_or_blanks() -> None:
    table = {"n1": 1, "n2": 2, "n3": 65535}
    assert parse_nodes("n1:1,n2:2,n3:65535") == table
    assert parse_nodes(" n1:1  n2:2, n3:65535 ") == table


def test_a_name_may_have_colons() -> None:
    assert parse_nodes("fe80::1:7") == {"fe80::1": 7}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n1", ["'n1'", "NAME:NUMBER"]),
        (":1", ["':1'", "NAME:NUMBER"]),
        ("n1:", ["'n1'", "''"]),
        ("n1:0", ["'n1'", "1 to 65535", "0"]),
        ("n1:65536", ["'n1'", "65536"]),
        ("n1:-1", ["'n1'", "'-1'"]),
        ("n1:0x1", ["'n1'", "'0x1'"]),
        ("n1:٣", ["'n1'", "1 to 65535"]),
        ("n1:99999999999", ["'n1'"]),
        ("n1:1,n2:2,n3:1", ["'n1'", "'n3'", "number 1"]),
        ("n1:1,n1:2", ["'n1'", "twice"]),
        (",", ["no node"]),
        (",".join(f"n{n}:{n}" for n in range(1, MAX_NODES + 2)), [str(MAX_NODES)]),
    ],
    ids=lambda value: str(value)[:12],
)
def test_wrong_nodes_are_named(text: str, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_nodes(text)
    assert all(word in str(caught.value) for word in words)


def test_a_node_is_found_by_name_and_by_number() -> None:
    cluster = Cluster(0x5A17, {"n2": 2, "n1": 1, "7": 9})
    assert list(cluster.numbers) == ["n1", "n2", "7"]
    assert cluster.number_of("n2") == cluster.number_of("2") == 2
    assert cluster.number_of("7") == 9, "a name goes before a number"
    assert (cluster.name_of(1), cluster.name_of(5)) == ("n1", "5")


@pytest.mark.parametrize("plug", ["", "n3", "3", "01x", "-1", "+1", " 1", "N1", "1.0", "²"])
def test_an_unknown_plug_is_named_with_what_was_expected(plug: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Cluster(1, {"n1": 1, "n2": 2}).number_of(plug)
    assert repr(plug) in str(caught.value) and "n1 (1), n2 (2)" in str(caught.value)


def test_the_local_node_is_found_with_and_without_its_domain() -> None:
    cluster = Cluster(1, {"n1": 1, "n2.example.org": 2})
    for name in ("n1", "n1.example.org"):
        assert cluster.local_number(name) == 1
    for name in ("n2", "n2.example.org", "n2.local"):
        assert cluster.local_number(name) == 2
    for name in ("", "1", "n11", "N1", "n3.example.org", "example.org"):
        with pytest.raises(InvalidInput, match="local_name"):
            cluster.local_number(name)


def test_a_first_label_that_two_nodes_share_names_none() -> None:
    cluster = Cluster(1, {"n1.east": 1, "n1.west": 2})
    assert cluster.local_number("n1.west") == 2
    for name in ("n1", "n1.north"):
        with pytest.raises(InvalidInput, match="local_name"):
            cluster.local_number(name)


def test_many_nodes_do_not_fill_the_line() -> None:
    cluster = Cluster(1, {f"node-{number}": number for number in range(1, 101)})
    with pytest.raises(InvalidInput, match="and 92 more"):
        cluster.number_of("x")


def test_corosync_conf(conf: Path) -> None:
    """name before ring0_addr; comments and other sections are passed over."""
    assert read_corosync_conf(str(conf)) == ("prod", [("storage-b", "20"), ("storage-a", "3")])
    cluster = build_cluster("", "", "", str(conf))
    assert cluster.tag == tag_of_cluster("prod")
    assert list(cluster.numbers.items()) == [("storage-a", 3), ("storage-b", 20)]


def test_parameters_go_before_corosync_conf(conf: Path) -> None:
    assert build_cluster("other", "", "", str(conf)).tag == tag_of_cluster("other")
    assert build_cluster("other", "3F2A", "", str(conf)).tag == 0x3F2A
    mixed = build_cluster("", "", "x:5", str(conf))
    assert (mixed.tag, mixed.numbers) == (tag_of_cluster("prod"), {"x": 5})


def test_a_position_is_no_number(conf: Path) -> None:
    conf.write_text(CONF.replace("\t\tnodeid: 3\n", ""))
    with pytest.raises(InvalidInput, match=r"'storage-a' has no nodeid"):
        build_cluster("", "", "", str(conf))


@pytest.mark.parametrize("end", range(0, len(CONF) - 1, 7))
def test_a_cut_off_file_is_an_error_or_has_all_nodes(conf: Path, end: int) -> None:
    """No cut yields a cluster with a node less."""
    conf.write_text(CONF[:end])
    try:
        nodes = read_corosync_conf(str(conf))[1]
    except InvalidInput as error:
        assert str(conf) in str(error)
    else:
        assert [name for name, _ in nodes] == ["storage-b", "storage-a"]


@pytest.mark.parametrize("text", ["3f2a", "0x3f2a", "0X3F2A", "3F2A", "0x00003f2a"])
def test_cluster_tag_spellings(text: str) -> None:
    assert parse_tag(text) == 0x3F2A


@pytest.mark.parametrize(
    "text", ["", "0x", "x", "3f 2a", "-1", "+1", "1_2", "3f2a1", "0", "0x0000", "1000", "٣"]
)
def test_wrong_cluster_tags(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_tag(text)
