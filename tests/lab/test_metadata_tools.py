"""The real tools take the agent's metadata: Pacemaker's, pcs and crmsh. No guest, no cluster.

They look for an executable in /usr/sbin, so the launcher of ``make install`` stands
there for as long as these tests run, pointing at the work tree.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from .guest import REPO

LAUNCHER = Path("/usr/sbin/fence_prbarrier")
TEMPLATE = REPO / "install/fence_prbarrier.in"
EXPORTED = REPO / "metadata/fence_prbarrier.xml"
PACKAGES = "pacemaker pacemaker-cli-utils pcs crmsh libxml2-utils fence-agents"
TOOLS = ("stonith_admin", "crm_resource", "cibadmin", "crm_verify", "pcs", "crm", "xmllint")
SCHEMAS = ("/usr/share/cluster/relaxng/metadata.rng", "/usr/share/pcs/data/ocf-1.0.rng")
PACEMAKER_LIMIT_S = 10
TOOL_TIMEOUT_S = 60
# Tools set these parameters themselves, or replace them by others.
TAKEN_BY_TOOLS = {"action", "port", "debug_file", "logfile", "help", "version"}
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def run(*words: str, timeout: float = TOOL_TIMEOUT_S, **env: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a tool."""
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd="/",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root", **env},
    )
    return done.returncode, COLOUR.sub("", done.stdout), COLOUR.sub("", done.stderr)


def missing() -> str:
    """Why these tests cannot run here, or ''."""
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    absent = [tool for tool in TOOLS if shutil.which(tool, path=path) is None]
    if absent:
        return f"{', '.join(absent)} missing (Debian: {PACKAGES})"
    return "" if os.geteuid() == 0 else "an agent in /usr/sbin needs root"


@pytest.fixture(scope="module", autouse=True)
def launcher() -> Iterator[Path]:
    """The agent where the tools look for it; afterwards whatever was there before."""
    reason = missing()
    if reason and os.environ.get("CI"):
        pytest.fail(f"CI is set, but: {reason}", pytrace=False)
    if reason:
        pytest.skip(reason)
    text = TEMPLATE.read_text().replace("@PYTHON@", "/usr/bin/python3")
    fresh, before = LAUNCHER.with_suffix(".test-new"), LAUNCHER.with_suffix(".test-kept")
    fresh.write_text(text.replace("@DATADIR@", str(REPO)))
    fresh.chmod(0o755)
    kept = LAUNCHER.exists()
    if kept:
        LAUNCHER.rename(before)
    fresh.rename(LAUNCHER)
    try:
        yield LAUNCHER
    finally:
        LAUNCHER.unlink()
        if kept:
            before.rename(LAUNCHER)


def names(document: etree._Element) -> list[str]:
    """The parameters of an agent's metadata."""
    return [entry.get("name") for entry in document.iter("parameter")]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_schemas_by_xmllint(schema: str) -> None:
    """fence-agents' schema and pcs's, by a validator that is not ours."""
    code, _, err = run("xmllint", "--noout", "--relaxng", schema, str(EXPORTED))
    assert (code, err) == (0, f"{EXPORTED} validates\n")


@pytest.mark.parametrize(
    "command",
    ["stonith_admin --metadata --agent fence_prbarrier",
     "crm_resource --show-metadata stonith:fence_prbarrier"],
)  # fmt: skip
def test_pacemaker(command: str) -> None:
    """Every parameter and action; plug obsoletes port; `on` is unfencing, on the target."""
    code, out, err = run(*command.split(), timeout=PACEMAKER_LIMIT_S)
    assert (code, err) == (0, "")
    shown, exported = etree.fromstring(out.encode()), etree.parse(str(EXPORTED)).getroot()
    assert names(shown) == names(exported)
    (plug,) = shown.xpath("//parameter[@name='plug']")
    (port,) = shown.xpath("//parameter[@name='port']")
    assert plug.get("obsoletes") == "port"
    assert port.get("deprecated") == "1"
    actions = {action.get("name"): action for action in shown.iter("action")}
    assert (actions["on"].get("on_target"), actions["on"].get("automatic")) == ("1", "1")
    # Pacemaker adds what every resource has.
    own = [name for name in actions if name not in ("start", "stop")]
    assert own == [action.get("name") for action in exported.iter("action")]
    assert "reboot" not in actions
    # Pacemaker sets the action itself, so it never asks its user for one.
    (action,) = shown.xpath("//parameter[@name='action']")
    assert action.get("required") == "0"


def test_pacemaker_lists_it() -> None:
    """Among the agents that are installed."""
    code, out, _ = run("stonith_admin", "--list-installed")
    assert code == 0
    assert "fence_prbarrier" in out.split()


@pytest.mark.parametrize(
    "command", ["stonith_admin --metadata --agent fence_prbarrier", "fence_prbarrier -o metadata"]
)
def test_as_hacluster(command: str) -> None:
    """Pacemaker asks as the user hacluster too, within 10 s: neither root nor a state is needed."""
    began = time.monotonic()
    words = ("runuser", "-u", "hacluster", "--", *command.split())
    code, out, err = run(*words, timeout=PACEMAKER_LIMIT_S)
    assert (code, err) == (0, "")
    assert time.monotonic() - began < PACEMAKER_LIMIT_S
    root = etree.fromstring(out.encode())
    assert names(root) == names(etree.parse(str(EXPORTED)).getroot())


def test_pcs_describes_it() -> None:
    """pcs shows each parameter with its text; port only with --full, as deprecated by plug."""
    code, out, err = run("pcs", "stonith", "describe", "fence_prbarrier")
    assert (code, err) == (0, "")
    assert out.startswith("fence_prbarrier - ")
    for parameter in etree.parse(str(EXPORTED)).iter("parameter"):
        if parameter.get("name") not in TAKEN_BY_TOOLS:
            assert f"  {parameter.get('name')}" in out
    assert "\n  plug: Node to act on" in out
    assert "\n  port" not in out
    assert re.search(r"^Default operations:\s+monitor:\s+interval=60s$", out, re.MULTILINE)
    code, full, _ = run("pcs", "stonith", "describe", "--full", "fence_prbarrier")
    assert code == 0
    assert "\n  port (deprecated by plug)" in full


def test_pcs_lists_it() -> None:
    """With its short description, and without a warning about it."""
    code, out, err = run("pcs", "stonith", "list", "fence_prbarrier")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"fence_prbarrier - .+\n", out)


def test_crm_describes_it() -> None:
    """crmsh shows parameters, their defaults and the monitor."""
    code, out, err = run("crm", "ra", "info", "stonith:fence_prbarrier")
    assert code == 0, err
    assert "ERROR" not in out + err
    assert "\nplug (string): Node to act on" in out
    assert re.search(r"^power_timeout \(.*\[60\]\)", out, re.MULTILINE)
    assert re.search(r"^aptpl \(.*\[auto\]\)", out, re.MULTILINE)


@pytest.fixture
def cib(tmp_path: Path) -> Path:
    """An empty cluster configuration in a file."""
    code, out, err = run("cibadmin", "--empty")
    assert code == 0, err
    file = tmp_path / "cib.xml"
    file.write_text(out)
    return file


def options(tmp_path: Path) -> list[str]:
    """Parameters of a fence device over a simulated LU."""
    disk = f"mock:{tmp_path}/disk?profile=spec"
    return [f"devices={disk}", "nodes=n1:1,n2:2", "cluster_name=c", "local_name=n1"]


def test_pcs_configures_unfencing(cib: Path, tmp_path: Path) -> None:
    """pcs adds provides=unfencing by itself; validate-all is silent when all is well."""
    create = ("pcs", "-f", str(cib), "stonith", "create")
    well = [*options(tmp_path), "pcmk_host_list=n1 n2"]
    code, out, err = run(*create, "well", "fence_prbarrier", *well, "--agent-validation")
    assert (code, out, err) == (0, "", "")
    (primitive,) = etree.parse(str(cib)).iter("primitive")
    assert (primitive.get("class"), primitive.get("type")) == ("stonith", "fence_prbarrier")
    (provides,) = primitive.xpath("meta_attributes/nvpair[@name='provides']")
    assert provides.get("value") == "unfencing"
    code, _, err = run("crm_verify", "-x", str(cib))
    assert code == 0, err
    bad = ["devices=/dev/not-there", *options(tmp_path)[1:]]
    code, _, err = run(*create, "bad", "fence_prbarrier", *bad, "--agent-validation")
    assert code == 1
    assert "device /dev/not-there: is not there" in err
    code, _, err = run(*create, "odd", "fence_prbarrier", *options(tmp_path), "devces=x")
    assert code == 1
    assert "invalid stonith option 'devces'" in err


def test_crm_configures(cib: Path, tmp_path: Path) -> None:
    """crmsh knows the parameters; nothing adds provides=unfencing for its users."""
    primitive = ("crm", "configure", "primitive", "well", "stonith:fence_prbarrier", "params")
    more = ("meta", "provides=unfencing")
    code, _, err = run(*primitive, *options(tmp_path), *more, CIB_file=str(cib))
    assert code == 0, err
    assert "ERROR" not in err
    (made,) = etree.parse(str(cib)).iter("primitive")
    assert len(made.xpath("instance_attributes/nvpair")) == len(options(tmp_path))
    code, _, err = run(*primitive[:3], "odd", *primitive[4:], "devces=x", *more, CIB_file=str(cib))
    assert 'parameter "devces" is not known' in err
    assert code == 1
