"""The clock goes back by a year, or on: incarnations grow, and deadlines stay what they are."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fence_prbarrier.key import EPOCH_UNIX_SECONDS

from ..agent.stage import PROCESS_LIMIT_SECONDS, Result, assert_refused
from .scene import AGENT, CONFLICT, Scene

YEAR = 365 * 86400
# Two years before 2020: nothing tells how old the last life is, if it is not seen or remembered.
BEFORE_2020 = -40 * YEAR
# Set by whoever moves the clock, read at each look at it.
PREAMBLE = """
import time
_true = time.time
def _moved():
    with open({offset!r}) as file:
        return _true() + float(file.read())
time.time = _moved
"""


class Clocked:
    """n1's agent under a clock that is wrong, in a scene that is put back before."""

    def __init__(self, scene: Scene, situation: str) -> None:
        scene.restore(situation)
        self.scene = scene
        self.offset = scene.folder / "offset"
        self.script = scene.folder / "clocked"
        text = scene.scripts[AGENT].read_text()
        mark = "import sys\n"
        assert mark in text
        self.script.write_text(
            text.replace(mark, mark + PREAMBLE.format(offset=str(self.offset)), 1)
        )
        self.is_off_by(0)

    def is_off_by(self, seconds: float) -> None:
        self.offset.write_text(str(seconds))

    def do(self, node: str, action: str, plug: str = "", **options: object) -> Result:
        words = self.scene.words(node, action, plug, **options)
        words[words.index(str(self.scene.scripts[AGENT]))] = str(self.script)
        done = subprocess.run(
            words, cwd=self.scene.folder, env={}, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=PROCESS_LIMIT_SECONDS, check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def incarnation(self) -> int:
        memory = self.scene.memory()
        assert memory is not None and memory.key is not None
        assert self.scene.all_keys("n1") == [[memory.key]] * 2
        return memory.key.incarnation


@pytest.mark.parametrize("moves", [(-YEAR, 0), (YEAR, -YEAR), (BEFORE_2020, YEAR), (YEAR, YEAR)])
@pytest.mark.parametrize("forgotten", [True, False], ids=["rebooted", "rejoins"])
def test_incarnations_grow(scene: Scene, moves: tuple[int, int], forgotten: bool) -> None:
    """A reboot forgets and finds its old key on the LUs; a rejoin in the boot remembers it."""
    node = Clocked(scene, "joined")
    before = node.incarnation()
    for move in moves:
        node.is_off_by(move)
        if forgotten:
            scene.reboot("n1")
            result = node.do("n1", "on", "n1")
        else:
            assert scene.do("n2", "off", "n1").code == 0
            assert_refused(node.do("n1", "on", "n1"), "has been evicted since")
            result = node.do("n1", "on", "n1", rejoin="allow")
        assert (result.code, result.out) == (0, "Success: Powered ON\n"), result
        now = node.incarnation()
        assert now > before
        before = now


@pytest.mark.parametrize("move", [-YEAR, YEAR, BEFORE_2020])
def test_an_eviction_needs_no_clock(scene: Scene, move: int) -> None:
    node = Clocked(scene, "joined")
    node.is_off_by(move)
    assert node.do("n1", "on", "n1") == (0, "Success: Already ON\n", "")
    assert node.do("n1", "monitor") == (0, "", "")
    assert node.do("n1", "off", "n2") == (0, "Success: Powered OFF\n", "")
    assert node.do("n1", "status", "n2").code == 2
    assert scene.write("n2") == CONFLICT


def test_a_first_life_before_2020_is_refused(scene: Scene) -> None:
    """Nothing is seen and nothing remembered: it would get an incarnation of long ago."""
    node = Clocked(scene, "fresh")
    node.is_off_by(BEFORE_2020)
    before = scene.pictures()
    assert_refused(node.do("n1", "on", "n1"), "set the clock")
    assert scene.pictures() == before


def test_a_clock_beyond_the_last_incarnation_is_refused(scene: Scene) -> None:
    """The field holds seconds until 2156; what is refused leaves no key that would bar the next."""
    node = Clocked(scene, "fresh")
    node.is_off_by(140 * YEAR)
    before = scene.pictures()
    assert_refused(node.do("n1", "on", "n1"), "clock")
    assert scene.pictures() == before
    node.is_off_by(0)
    assert node.do("n1", "on", "n1").code == 0


@pytest.mark.parametrize("move", [-YEAR, YEAR])
def test_a_clock_that_jumps_meanwhile_moves_no_deadline(scene: Scene, move: int) -> None:
    """Between two looks at it: the action has its seconds, no more and no fewer."""
    node = Clocked(scene, "joined")
    jump = f"time.time = iter([_true() + n * {move} for n in range(1000)]).__next__"
    text = node.script.read_text().replace("time.time = _moved", jump)
    Path(node.script).write_text(text)
    scene.fault("delay:300 initiator=iqn.2003-08.example.mock:n1 op=5e times=2")
    result = node.do("n1", "off", "n2", verbose_level=1, logfile=scene.folder / "log")
    assert (result.code, result.out) == (0, "Success: Powered OFF\n"), result
    scene.fault("delay:9000 initiator=iqn.2003-08.example.mock:n1 op=5e times=always")
    assert_refused(node.do("n1", "monitor", power_timeout=1), "timed out")


def test_the_epoch_is_what_these_tests_take_it_for() -> None:
    assert EPOCH_UNIX_SECONDS == 1577836800
