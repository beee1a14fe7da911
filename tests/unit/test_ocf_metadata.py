"""The resource agent's XML: up to date, of OCF's form, and true of what the agent reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import etree

from fence_prbarrier.agent import ocf, parameters
from fence_prbarrier.agent.metadata import resource_metadata
from fence_prbarrier.agent.parameters import (
    BY_NAME,
    OCF_ACTION_SECONDS,
    OCF_ACTIONS,
    OCF_PARAMETERS,
    Options,
)

ROOT = Path(__file__).resolve().parents[2]
AGENT = ROOT / "ocf" / "prbarrier"
EXPORTED = ROOT / "metadata" / "ocf_prbarrier.xml"
# What others check a resource agent by, from Debian's packages resource-agents and pcs.
DTD = "/usr/share/resource-agents/ra-api-1.dtd"
SCHEMAS = ("/usr/share/pcs/data/ocf-1.0.rng", "/usr/share/pcs/data/ocf-1.1.rng")
NOBODY = 65534


def _is_valid(form: str, tree: etree._ElementTree) -> bool:
    """By a DTD or a RELAX NG schema."""
    if not os.path.exists(form):
        if os.environ.get("CI"):
            pytest.fail(f"{form} is not there; tests/lab/deps.sh installs it")
        pytest.skip(f"{form} is not there; tests/lab/deps.sh installs it")
    checker = etree.DTD(form) if form.endswith(".dtd") else etree.RelaxNG(etree.parse(form))
    return bool(checker.validate(tree))


def test_the_exported_file_is_up_to_date() -> None:
    """``make metadata`` writes it anew."""
    assert EXPORTED.read_text(encoding="utf-8") == resource_metadata()


@pytest.mark.parametrize("form", [DTD, *SCHEMAS])
def test_valid(form: str) -> None:
    assert _is_valid(form, etree.parse(str(EXPORTED)))


DAMAGES = [
    lambda root: root.remove(root.find("actions")),
    lambda root: root.attrib.pop("name"),
    lambda root: root.set("colour", "red"),
    lambda root: root.find(".//parameter").attrib.pop("name"),
    lambda root: root.find(".//content").set("type", "second"),
    lambda root: root.find(".//action").attrib.pop("timeout"),
    lambda root: etree.SubElement(root.find(".//parameter"), "getopt"),
]


@pytest.mark.parametrize("form", [DTD, *SCHEMAS])
def test_each_form_can_fail(form: str) -> None:
    """Not every damage is one by pcs's forms, which are rather relaxed."""
    found = 0
    for damage in DAMAGES:
        tree = etree.parse(str(EXPORTED))
        damage(tree.getroot())  # type: ignore[no-untyped-call]
        found += not _is_valid(form, tree)
    assert found >= 3


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_found(damage: object) -> None:
    tree = etree.parse(str(EXPORTED))
    damage(tree.getroot())  # type: ignore[operator]
    assert not all(_is_valid(form, tree) for form in (DTD, SCHEMAS[0]))


def test_every_parameter_is_in_the_table_and_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A wrong value of each, in the environment, makes a difference to what the agent is given."""
    root = etree.fromstring(EXPORTED.read_bytes())
    told = [entry.get("name") for entry in root.iter("parameter")]
    assert told == list(OCF_PARAMETERS) and set(told) <= set(BY_NAME)
    given: list[dict[str, str]] = []

    def note(values: dict[str, str]) -> Options:
        given.append(values)
        raise ocf.InvalidInput("noted")

    monkeypatch.setattr(ocf, "Options", note)
    environment = {f"OCF_RESKEY_{name}": f"<{name}>" for name in (*told, "unknown", "rejoin")}
    assert ocf.main(["start"], environment) == ocf.ERR_CONFIGURED
    assert given == [{name: f"<{name}>" for name in told}]


def test_defaults_are_the_tables_and_are_taken() -> None:
    for entry in etree.fromstring(EXPORTED.read_bytes()).iter("parameter"):
        default = entry.find("content").get("default", "")
        assert default == BY_NAME[entry.get("name")].default
        assert Options({entry.get("name"): default})[entry.get("name")] == default


def test_advised_limits_are_above_the_agents_own() -> None:
    """With a margin, and a LU that hangs is given up twice over before them."""
    root = etree.fromstring(EXPORTED.read_bytes())
    advised = {
        entry.get("name"): int(entry.get("timeout").removesuffix("s"))
        for entry in root.iter("action")
    }
    assert advised == OCF_ACTION_SECONDS
    assert set(advised) == set(OCF_ACTIONS) - {"usage"}
    for action in ("start", "monitor", "validate-all"):
        own = ocf._seconds(action, Options({}), {})
        assert advised[action] - ocf.TIMEOUT_MARGIN_SECONDS > own, action
        assert own > 2 * Options({}).number("command_timeout")
    (monitor,) = root.findall("actions/action[@name='monitor']")
    assert int(monitor.get("interval").removesuffix("s")) == parameters.OCF_MONITOR_INTERVAL_SECONDS


@pytest.mark.parametrize("word", ["meta-data", "metadata"])
def test_meta_data_needs_nothing(word: str, tmp_path: Path) -> None:
    """No parameter, no state_dir, no instance."""
    done = subprocess.run(
        [str(AGENT), word], cwd=tmp_path, env={}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == EXPORTED.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == []


def test_meta_data_as_an_unprivileged_user(tmp_path: Path) -> None:
    """The clone may lie where nobody else may look, so what is asked is a process's own rights."""
    if os.geteuid():
        pytest.skip("only root can become another user")
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from fence_prbarrier.agent import ocf, metadata\n"
        "metadata._lxml()\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "sys.exit(ocf.main(['meta-data'], {'OCF_RESKEY_state_dir': '/root/x'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(ROOT)],
        cwd="/", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == EXPORTED.read_text(encoding="utf-8")
