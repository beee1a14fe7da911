"""``make install``: the agent, from where it was put, without the clone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .test_lint import ROOT


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
