"""Users without privilege, and a copy of the package that they may read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from ..agent.stage import PROCESS_LIMIT_SECONDS, ROOT, Result

NOBODY = 65534
# No entry in /etc/passwd, so no name and no home.
NAMELESS = 54321
INTERPRETERS = ("/usr/bin/python3", os.path.realpath(sys.executable))


def need(condition: bool, why: str) -> None:
    """Skip with the reason; in CI, where all of it is at hand, fail."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def need_root() -> None:
    need(os.geteuid() == 0, "only root can play other users")


def install(folder: Path) -> Path:
    """The agent's script and its package, for everybody to read; the script."""
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    shutil.copytree(ROOT / "fence_prbarrier", folder / "share" / "fence_prbarrier")
    script = folder / "fence_prbarrier"
    text = (ROOT / "install" / "fence_prbarrier.in").read_text()
    text = text.replace("@PYTHON@", interpreter()).replace("@DATADIR@", str(folder / "share"))
    script.write_text(text)
    script.chmod(0o755)
    return script


def interpreter() -> str:
    """One that runs, and finds its library, as anybody."""
    for path in INTERPRETERS:
        if os.path.exists(path) and run_as(NOBODY, [path, "-IS", "-c", "import syslog"]).code == 0:
            return path
    need(False, f"none of {INTERPRETERS} can be run without privilege")
    return ""


def run_as(
    user: int,
    words: Sequence[str],
    cwd: str = "/",
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
) -> Result:
    """A program as another user, who is in no group but his own."""

    def become() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)

    done = subprocess.run(
        list(words), cwd=cwd, env=dict(environment or {}), input=stdin, capture_output=True,
        timeout=PROCESS_LIMIT_SECONDS, check=False, preexec_fn=become,
    )  # fmt: skip
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())
