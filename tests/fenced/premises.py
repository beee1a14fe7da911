"""What these tests need of the machine."""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import subprocess

import pytest

from .node import DAEMONS, FENCER, PATH, USER

PROGRAMS = ("unshare", "nsenter", "setpriv", "mount", "make", "stonith_admin")
PEERS_PROGRAMS = ("corosync", "corosync-quorumtool", "ip")
PACKAGES = "pacemaker, pacemaker-cli-utils, util-linux"
PROBE = "mount -t overlay overlay -o ro,lowerdir=/usr/bin:/usr/sbin /usr/sbin"


@functools.cache
def why_not(programs: tuple[str, ...] = PROGRAMS) -> str:
    """Why no node can be made here, or ''."""
    if os.geteuid() != 0:
        return "namespaces need root"
    for program in programs:
        if shutil.which(program, path=PATH) is None:
            return f"{program} is missing (Debian: {PACKAGES})"
    if shutil.which(FENCER, path=DAEMONS) is None:
        return f"{FENCER} is missing (Debian: {PACKAGES})"
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return f"there is no user {USER}"
    words = ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "sh", "-c", PROBE]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return f"no namespaces or no overlay: {done.stderr.strip()}" if done.returncode else ""


def refuse(reason: str) -> None:
    """Skip; where CI is set that would be a lie, so there fail."""
    if os.environ.get("CI"):
        pytest.fail(f"CI is set, but Pacemaker's fencer cannot run: {reason}", pytrace=False)
    pytest.skip(f"Pacemaker's fencer cannot run: {reason}")


def require(programs: tuple[str, ...] = PROGRAMS) -> None:
    """Refuse where no node can be made."""
    reason = why_not(programs)
    if reason:
        refuse(reason)
