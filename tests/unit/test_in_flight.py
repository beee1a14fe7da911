"""How many commands are in flight at a time: a fixed number, however many LUs and paths."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fence_prbarrier import discovery
from fence_prbarrier.barrier.everywhere import Each, inspect_everywhere
from fence_prbarrier.barrier.inspect import look
from fence_prbarrier.devices import Path, Place
from fence_prbarrier.discovery import MAX_PROBES_AT_ONCE
from fence_prbarrier.dispatcher import MAX_UNITS_AT_ONCE, Dispatcher, Limits
from fence_prbarrier.scsi import spc
from fence_prbarrier.scsi.outcome import Completion

UNITS = 256
PATHS = 4
# Until as many are in flight as may be; a slow machine needs longer, and gets it.
FULL_SECONDS = 30.0
# For one more to come, if more may.
ROOM_SECONDS = 0.004


class Meter:
    """What is in flight: in all, and on each LU.  Lets nothing go before ``limit`` are."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.lock = threading.Lock()
        self.full = threading.Event()
        self.over = threading.Event()
        self.now: Counter[int] = Counter()
        self.most = self.most_of_one_unit = self.calls = 0

    @contextmanager
    def one(self, unit: int) -> Iterator[None]:
        with self.lock:
            self.calls += 1
            self.now[unit] += 1
            self.most = max(self.most, sum(self.now.values()))
            self.most_of_one_unit = max(self.most_of_one_unit, self.now[unit])
            if self.most >= self.limit:
                self.full.set()
            if self.most > self.limit:
                self.over.set()
        if not self.full.wait(FULL_SECONDS):
            self.full.set()  # fewer than may be: `most` will tell, and nobody waits again
        self.over.wait(ROOM_SECONDS)
        yield
        with self.lock:
            self.now[unit] -= 1


class Counted:
    """A path to a LU that nobody is registered on, and that bears its number as its name."""

    running = True

    def __init__(self, unit: int) -> None:
        self.unit = unit
        self.meter = Meter(1)

    def execute(self, command: object, timeout_ms: int) -> Completion:
        with self.meter.one(self.unit):
            if command.cdb[0] == spc.INQUIRY:  # type: ignore[attr-defined]
                name = bytes((1, 3, 0, 16)) + bytes((0x60,)) + self.unit.to_bytes(15, "big")
                page = bytes((0, spc.VPD_DEVICE_IDENTIFICATION, 0, len(name)))
                return Completion(data=page + name)
            return Completion(data=bytes(8))

    def close(self) -> None:
        """Nothing is open."""


class World:
    """A dispatcher over UNITS x PATHS paths, and who counts on them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.transports = {
            f"/dev/{path}-{unit}": Counted(unit) for path in range(PATHS) for unit in range(UNITS)
        }
        self.opening = Meter(1)
        monkeypatch.setattr(discovery, "places_of", lambda name: [Place(name, name)])
        monkeypatch.setattr(discovery, "open_place", self.open)
        self.dispatcher = Dispatcher(Limits(time.monotonic() + 600, 60.0), lambda *words: None)

    def open(self, place: Place, local_name: str) -> Path:
        transport = self.transports[place.name]
        with self.opening.one(transport.unit):
            return Path(place.name, transport, place.name)  # type: ignore[arg-type]

    def meter(self, limit: int) -> Meter:
        """A new one, on every path and on opening."""
        self.opening = Meter(limit)
        for transport in self.transports.values():
            transport.meter = self.opening
        return self.opening

    def discover(self):
        return discovery.discover(self.dispatcher, list(self.transports), "n1", False, dict)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_so_many_devices_are_asked_at_a_time_and_no_more(world: World) -> None:
    """Opening one counts as asking it."""
    meter = world.meter(MAX_PROBES_AT_ONCE)
    units = world.discover()
    assert [unit.paths for unit in units] == [PATHS] * UNITS
    assert meter.calls == 2 * UNITS * PATHS
    assert meter.most == MAX_PROBES_AT_ONCE


@pytest.mark.parametrize("every_path", [True, False])
def test_so_many_commands_are_in_flight_at_a_time_and_one_a_lu(
    world: World, every_path: bool
) -> None:
    """Whether a procedure takes one path or all of them."""
    units = world.discover()
    meter = world.meter(MAX_UNITS_AT_ONCE)

    def plan():
        return (yield Each({unit.name: look(unit.route()) for unit in units}))

    found = world.dispatcher.run(inspect_everywhere(units) if every_path else plan())
    assert len(found) == UNITS and all(snapshot.bare for snapshot in found.values())
    assert meter.calls == UNITS * (PATHS if every_path else 1)
    assert (meter.most, meter.most_of_one_unit) == (MAX_UNITS_AT_ONCE, 1)
