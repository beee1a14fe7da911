"""What the pages say of names, defaults, messages and each other is so."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest
from lxml import etree

import fence_prbarrier
from fence_prbarrier.agent.parameters import BY_NAME, PARAMETERS

from ..lab.guest import REPO
from . import pages
from .pages import DOCS, KINDS, OTHER_TOOLS, PAGES, TOOLS, Block

FENCE_SCSI = Path("/usr/sbin/fence_scsi")
OCF_AGENT = REPO / "ocf/prbarrier"
MAX_PAGE_LINES = 300
LANGUAGES = {"run": {"sh"}, "shown": {"sh"}, "prints": {"text"}, "file": {"xml", "text", "ini"}}


def by_name(page: Path) -> str:
    """A page's name, for a test's."""
    return page.name


def where(block: Block) -> str:
    """A block's place, for a test's name."""
    return block.where


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_a_page_can_be_read_in_one_sitting(page: Path) -> None:
    """No page is longer than the limit."""
    assert len(page.read_text().splitlines()) <= MAX_PAGE_LINES


@pytest.mark.parametrize("page", [*PAGES, REPO / "README.md"], ids=by_name)
def test_links(page: Path) -> None:
    """Every link leads to a file of the repository, and to a heading that is there."""
    for link in pages.links(page):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists() and target.is_relative_to(REPO), link
        assert not anchor or anchor in pages.anchors(target), link


def test_every_page_is_linked_from_the_first() -> None:
    """The page on configuration lists all others."""
    listed = {link.partition("#")[0] for link in pages.links(DOCS / "configuration.md")}
    assert {page.name for page in PAGES} - {"configuration.md"} <= listed


@pytest.mark.parametrize("block", pages.every_block(), ids=where)
def test_blocks_are_marked(block: Block) -> None:
    """Each says whether it is run and by what, or is a file, or why it is only shown."""
    assert block.kind in KINDS, f"{block.where}: {block.kind!r}"
    assert block.language in LANGUAGES[block.kind], block.where
    assert bool(block.words) == (block.kind != "prints"), block.where
    if block.kind == "run":
        tool, _, name = block.words.partition(" ")
        assert tool in TOOLS + OTHER_TOOLS and name, block.where


def test_each_step_has_all_three_tools() -> None:
    """Whoever reads one way to configure it finds the other two; but for devices_file, once."""
    steps: dict[str, set[str]] = {}
    for block in pages.every_block():
        tool, _, name = block.words.partition(" ")
        if block.kind == "run" and tool in TOOLS:
            assert tool not in steps.setdefault(name, set()), f"{block.words}: twice"
            steps[name].add(tool)
    assert steps.pop("file") == {"pcs"}
    assert steps and all(tools == set(TOOLS) for tools in steps.values()), steps


def test_files_are_used() -> None:
    """An XML file that a page shows is loaded by a command of that page."""
    commands = "".join(block.text for block in pages.every_block() if block.kind == "run")
    for name in pages.files():
        assert name in commands or name.endswith("late.conf"), name


def test_defaults() -> None:
    """The table of time-outs names parameters that exist, with the defaults they have."""
    rows = pages.rows(DOCS / "fencing.md", "parameter")
    told = {pages.words_in(name)[0]: default for name, default, _ in rows}
    assert told == {name: BY_NAME[name].default for name in told}
    assert {p.name for p in PARAMETERS if p.kind == "second" and p.effect} == set(told)


def test_examples_keep_to_the_table_of_limits() -> None:
    """Pacemaker's limits in the examples lie above the agent's, as the page says."""
    rows = pages.rows(DOCS / "fencing.md", "attribute or property")
    told = {pages.words_in(row[0])[0]: int(row[1].removesuffix("s")) for row in rows}
    second = {p.name: int(p.default) for p in PARAMETERS if p.kind == "second"}
    assert told["pcmk_off_timeout"] >= second["power_timeout"] + 10
    assert told["pcmk_on_timeout"] >= second["on_timeout"] + 5
    assert told["pcmk_monitor_timeout"] > second["monitor_timeout"]
    assert told["op monitor timeout"] > told["pcmk_monitor_timeout"]
    assert told["stonith-timeout"] > told["pcmk_off_timeout"]
    for tool in ("pcs", "crm"):
        text = pages.step(tool, "fence")
        for name, seconds in told.items():
            if name != "op monitor timeout":
                assert f"{name}={seconds}s" in text, (tool, name)
        assert f"op monitor interval=60s timeout={told['op monitor timeout']}s" in text


def product_texts() -> str:
    """Every piece of text in the agent's source."""
    texts = []
    for path in Path(fence_prbarrier.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_messages() -> None:
    """What the page says that the agent says, it can say."""
    known = product_texts()
    for message, _ in pages.rows(DOCS / "configuration.md", "it says"):
        for words in pages.words_in(message):
            assert words in known, words
    assert "LVM (lvmlockd)" in known
    assert "this node joined it in this boot as " in known


def test_parameters_of_the_resource_agent() -> None:
    """The clone takes the parameters that the page lists, each under its name here."""
    text = "\n".join(pages.prose(DOCS / "configuration.md"))
    listed = text.partition("parameters bear the same names")[2].partition("\n\n")[0]
    named = set(pages.words_in(listed.replace("\n", " ")))
    assert named and named <= set(BY_NAME)
    if not OCF_AGENT.exists():
        pytest.skip("ocf/prbarrier is not there")
    done = subprocess.run(
        ["/usr/bin/python3", OCF_AGENT, "meta-data"],
        capture_output=True,
        cwd=REPO,
        timeout=30,
        check=True,
    )
    metadata = etree.fromstring(done.stdout)
    assert {each.get("name") for each in metadata.iter("parameter")} == named


def test_what_becomes_of_fence_scsi() -> None:
    """Each of its options is in the table; what is the same is there, what is gone is not."""
    if not FENCE_SCSI.exists():
        pytest.skip("fence_scsi is missing (Debian: fence-agents)")
    done = subprocess.run(
        [FENCE_SCSI, "-o", "metadata"], capture_output=True, timeout=30, check=True
    )
    metadata = etree.fromstring(done.stdout)
    theirs = {
        each.get("name"): each.find("content").get("default")
        for each in metadata.iter("parameter")
        if each.get("deprecated") != "1" or each.get("name") == "port"
    }
    told = set()
    for theirs_cell, ours_cell in pages.rows(DOCS / "from-fence_scsi.md", "`fence_scsi`"):
        for name in pages.words_in(theirs_cell):
            if name.startswith(("pcmk_", "provides")):
                continue
            told.add(name)
            assert name in theirs or name == "nodename", name
            assert (name in BY_NAME) == (not ours_cell.startswith("gone")), name
            if ours_cell.startswith("taken"):
                assert not BY_NAME[name].effect, name
            elif ours_cell.startswith("the same"):
                assert BY_NAME[name].effect, name
                assert not theirs.get(name) or theirs[name] == BY_NAME[name].default, name
    assert set(theirs) - told == {"action", "help", "version"}
    assert (BY_NAME["power_timeout"].default, theirs["power_timeout"]) == ("60", "20")
