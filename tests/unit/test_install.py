"""``make install``: the agent, from where it was put, without the clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fence_prbarrier.agent.parameters import DEFAULT_STATE_DIR

from .test_lint import ROOT

OCF_TESTER = "/usr/sbin/ocf-tester"
EVICTED = 255


def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=more.get("cwd", ROOT), capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("installed")
    done = run("make", "install", f"PREFIX={place}/usr", f"SYSCONFDIR={place}/etc")
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_the_installed_agent_fences(installed: Path, tmp_path: Path) -> None:
    agent = str(installed / "usr" / "sbin" / "fence_prbarrier")
    common = ["--nodes", "n1:1,n2:2", "--cluster-name", "c", "--state-dir", f"{tmp_path}/state"]
    common += ["-d", f"mock:{tmp_path}/disk?profile=spec"]
    for node, action, plug, code in (
        ("n1", "on", "n1", 0),
        ("n2", "on", "n2", 0),
        ("n1", "off", "n2", 0),
        ("n1", "status", "n2", 2),
    ):
        done = run(
            agent, "-o", action, "-n", plug, "--local-name", node, *common, cwd=str(tmp_path)
        )
        assert done.returncode == code, (action, done.stdout, done.stderr)


def test_nothing_of_the_callers_surroundings_is_imported(installed: Path, tmp_path: Path) -> None:
    """A module of an attacker in the working directory or PYTHONPATH stays unread."""
    trap = "raise SystemExit('trapped')\n"
    for name in ("os.py", "select.py", "fence_prbarrier.py", "syslog.py"):
        (tmp_path / name).write_text(trap)
    done = subprocess.run(
        [str(installed / "usr" / "sbin" / "fence_prbarrier"), "--version"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("fence_prbarrier ")


def test_metadata_manual_and_no_trace_of_destdir(installed: Path, tmp_path: Path) -> None:
    agent = str(installed / "usr" / "sbin" / "fence_prbarrier")
    share = installed / "usr" / "share"
    exported = (share / "fence_prbarrier" / "fence_prbarrier.xml").read_text()
    assert run(agent, "-o", "metadata").stdout == exported
    assert (share / "man" / "man8" / "fence_prbarrier.8").read_text().startswith(".TH")
    done = run("make", "install", f"DESTDIR={tmp_path}/stage")
    assert done.returncode == 0, done.stderr
    staged = (tmp_path / "stage" / "usr" / "sbin" / "fence_prbarrier").read_text()
    assert "stage" not in staged


def test_uninstall_leaves_nothing(tmp_path: Path) -> None:
    assert run("make", "install", f"DESTDIR={tmp_path}").returncode == 0
    assert run("make", "uninstall", f"DESTDIR={tmp_path}").returncode == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# --- Resource agent and watchdog -----------------------------------------------------------------


@pytest.fixture(scope="module")
def public() -> Iterator[Path]:
    """Installed where an unprivileged user may look too, as below /usr."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    done = run("make", "install", f"PREFIX={place}/usr", f"SYSCONFDIR={place}/etc")
    assert done.returncode == 0, done.stdout + done.stderr
    yield place
    shutil.rmtree(place)


def _resource_agent(place: Path) -> Path:
    return place / "usr/lib/ocf/resource.d/fence_prbarrier/prbarrier"


def _ocf_tester(agent: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Debian's check that a resource agent does what OCF says, action by action."""
    if not os.path.exists(OCF_TESTER) or not shutil.which("xmllint") or os.geteuid():
        if os.environ.get("CI"):
            pytest.fail(f"{OCF_TESTER} cannot be run; tests/lab/deps.sh installs it")
        pytest.skip("needs root, ocf-tester and xmllint; tests/lab/deps.sh installs them")
    options = {
        "devices": f"mock:{folder}/disk?profile=spec", "nodes": "n1:1,n2:2", "cluster_name": "c",
        "local_name": "n1", "state_dir": f"{folder}/state",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    path = f"/usr/sbin:/sbin:{os.environ['PATH']}"
    return subprocess.run(
        [OCF_TESTER, "-n", "barrier", *words, str(agent)],
        cwd=folder, env={"PATH": path, "OCF_ROOT": "/usr/lib/ocf"}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


def test_ocf_tester_is_content(public: Path, tmp_path: Path) -> None:
    done = _ocf_tester(_resource_agent(public), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed all tests" in done.stdout and "* rc=" not in done.stdout


@pytest.mark.parametrize(
    ("action", "instead"),
    [("stop", "exit 0"), ("monitor", "exit 0"), ("meta-data", "echo '<x/>'"), ("start", "exit 1")],
)
def test_ocf_tester_can_fail(public: Path, tmp_path: Path, action: str, instead: str) -> None:
    """One action of it done wrong."""
    spoilt = public / f"spoilt-{action}"
    spoilt.write_text(
        f'#!/bin/sh\n[ "$1" != {action} ] || {{ {instead}; exit; }}\n'
        f'exec {_resource_agent(public)} "$@"\n'
    )
    spoilt.chmod(0o755)
    done = _ocf_tester(spoilt, tmp_path)
    assert done.returncode != 0 and "* rc=" in done.stdout, done.stdout


def test_the_installed_resource_agent_and_its_metadata(installed: Path, tmp_path: Path) -> None:
    """Nothing of the caller's surroundings is imported; the XML is the exported one."""
    for name in ("os.py", "select.py", "fence_prbarrier.py", "syslog.py"):
        (tmp_path / name).write_text("raise SystemExit('trapped')\n")
    done = subprocess.run(
        [str(_resource_agent(installed)), "meta-data"], cwd=tmp_path, capture_output=True,
        env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    share = installed / "usr/share/fence_prbarrier"
    assert done.stdout == (share / "ocf_prbarrier.xml").read_text()


def test_the_installed_watchdog_check(installed: Path, tmp_path: Path) -> None:
    """As installed it looks where the agent keeps its memory; then at one of our own."""
    script = installed / "etc/watchdog.d/prbarrier"
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert f'STATE_DIR = "{DEFAULT_STATE_DIR}"\n' in text and "@" not in text
    mine = tmp_path / "prbarrier"
    mine.write_text(text.replace(DEFAULT_STATE_DIR, f"{tmp_path}/state-n1"))
    mine.chmod(0o755)
    agent = str(installed / "usr" / "sbin" / "fence_prbarrier")
    for node, action, plug in (("n1", "on", "n1"), ("n2", "on", "n2"), ("n2", "off", "n1")):
        assert run(str(mine), "test").returncode == run(str(mine), "repair", "1").returncode == 0
        done = run(
            agent, "-o", action, "-n", plug, "--local-name", node, "--nodes", "n1:1,n2:2",
            "--cluster-name", "c", "--state-dir", f"{tmp_path}/state-{node}",
            "-d", f"mock:{tmp_path}/disk?profile=spec",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    for words in (("test",), ("repair", "255")):
        done = run(str(mine), *words)
        assert done.returncode == EVICTED and "has been evicted" in done.stdout


def test_no_trace_of_destdir_in_any_script(tmp_path: Path) -> None:
    """And nothing outside of PREFIX, unless that is /usr."""
    done = run("make", "install", f"DESTDIR={tmp_path}/stage", "PREFIX=/opt/x")
    assert done.returncode == 0, done.stderr
    stage = tmp_path / "stage"
    for name in ("opt/x/sbin/fence_prbarrier", "opt/x/etc/watchdog.d/prbarrier",
                 "opt/x/lib/ocf/resource.d/fence_prbarrier/prbarrier"):  # fmt: skip
        text = (stage / name).read_text()
        assert not any(word in text for word in ("stage", "@DATADIR@", "@PYTHON@"))
        assert '"/opt/x/share/fence_prbarrier"' in text
        assert text.startswith("#!/usr/bin/python3 -IS\n")
        assert os.access(stage / name, os.X_OK)
    assert os.listdir(stage) == ["opt"] and os.listdir(stage / "opt") == ["x"]
    assert run("make", "install", f"DESTDIR={tmp_path}/usual").returncode == 0
    assert (tmp_path / "usual/etc/watchdog.d/prbarrier").exists()
    assert sorted(os.listdir(tmp_path / "usual")) == ["etc", "usr"]


def test_what_is_installed_is_roots_alone_to_change(tmp_path: Path) -> None:
    """Whatever the umask: who may write beside the package writes root's programs."""
    words = ("make", "install", f"PREFIX={tmp_path}/usr", f"SYSCONFDIR={tmp_path}/etc")
    done = run("/bin/sh", "-c", 'umask 000; exec "$@"', "sh", *words)
    assert done.returncode == 0, done.stderr
    for path in (*tmp_path.glob("**/fence_prbarrier"), *tmp_path.glob("**/*")):
        inside = "fence_prbarrier" in path.name or "fence_prbarrier/" in str(path)
        if inside or path.is_file():
            assert not path.lstat().st_mode & 0o022 or path.is_symlink(), path


@pytest.mark.parametrize(
    "name", ["sbin/fence_prbarrier", "lib/ocf/resource.d/fence_prbarrier/prbarrier"]
)
def test_an_upgrade_puts_a_whole_program_in_place(tmp_path: Path, name: str) -> None:
    """An empty one, which a shell runs with success, never stands there: it is renamed."""
    words = ("make", "install", f"PREFIX={tmp_path}/usr", f"SYSCONFDIR={tmp_path}/etc")
    assert run(*words).returncode == 0
    program = tmp_path / "usr" / name
    with open(program) as before:
        text = before.read()
        assert run(*words).returncode == 0
        assert os.fstat(before.fileno()).st_nlink == 0, "it was written over"
        before.seek(0)
        assert before.read() == text == program.read_text()
    assert not list(program.parent.glob("*.new"))
    failing = run(*words, "FILL_IN=false")
    assert failing.returncode != 0 and program.read_text() == text
