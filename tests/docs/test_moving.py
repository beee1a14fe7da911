"""Moving over from fence_scsi on a real LU of Linux LIO: refused, cleared by hand, joined."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..lab.agent import Node
from ..lab.conftest import running_lab  # noqa: F401  (a fixture)
from ..lab.guest import LabError
from ..lab.san import Lab
from . import pages

KEY = "abcd0001"  # of the form that fence_scsi makes
CLEARED = "there are NO registered reservation keys"


@pytest.fixture
def lu(running_lab: Lab) -> Iterator[Lab]:  # noqa: F811
    """The laboratory with a LU that fence_scsi has registered on and reserved."""
    try:
        running_lab.clear()
    except LabError as error:
        pytest.fail(f"the lab is broken: {error}")
    for name in ("n1", "n2"):
        disk, key = running_lab.dev(name), KEY if name == "n1" else KEY[:-1] + "2"
        running_lab.ok(f"fence_scsi --action=on -k {key} -d {disk}", timeout=60)
    yield running_lab


def test_clear_the_disks(lu: Lab) -> None:
    """validate-all and `on` name fence_scsi's key, until the commands of the page have been run."""
    node = Node(lu, "n1", luns=(0,))
    for action in ("validate-all", "on", "off"):
        refused = node.run(action, "n2" if action == "off" else "n1")
        assert refused.code == 1, (action, refused)
        if action != "off":
            assert "a product with short keys such as fence_scsi" in refused.err, refused
    commands = pages.step("lab", "clear").replace(pages.DISKS[0], lu.dev("n1"))
    before, _, after = lu.ok(f"set -e\n{commands}").rpartition("PR generation")
    assert KEY in before and "Write Exclusive, registrants only" in before
    assert CLEARED in after and CLEARED not in before
    text = " ".join("\n".join(pages.prose(pages.DOCS / "from-fence_scsi.md")).split())
    assert CLEARED in text
    assert node.run("validate-all").code == 0
    assert node.run("on", "n1").out == "Success: Powered ON\n"
