"""SG_IO's edge without a device: every errno has its own words, and none is tried again."""

from __future__ import annotations

import errno
import os
import syslog

import pytest

from fence_prbarrier.agent.log import ERROR, INFO, Log
from fence_prbarrier.agent.parameters import Options
from fence_prbarrier.errors import DeviceError, ProtocolError
from fence_prbarrier.scsi import command as build
from fence_prbarrier.scsi.outcome import UNKNOWN, classify
from fence_prbarrier.scsi.reply import parse_read_keys
from fence_prbarrier.transport import sgio
from fence_prbarrier.transport.sysfs import Node

ERRNOS = ("ENODEV", "ENXIO", "EIO", "EACCES", "EPERM", "EINTR", "EBUSY", "ENOTTY", "ENOMEM")


@pytest.fixture(params=["block", "sg", "bsg"])
def path(request: pytest.FixtureRequest) -> sgio.SgIo:
    return sgio.SgIo(Node("/dev/null", request.param, os.stat("/dev/null").st_rdev, "/nowhere"))


def test_the_kernels_structures_have_the_kernels_sizes() -> None:
    """sizeof(struct sg_io_hdr) and sizeof(struct sg_io_v4) on 64 bits."""
    assert (sgio.V3_BYTES, sgio.V4.size) == (88, 160)


def test_each_errno_has_its_own_words() -> None:
    texts = {name: sgio.explain(OSError(getattr(errno, name), "")) for name in ERRNOS}
    assert all(text.endswith(f"({name})") and len(text) > 20 for name, text in texts.items())
    assert len({text.split(" (")[0] for text in texts.values()}) >= len(ERRNOS) - 1


@pytest.mark.parametrize("name", ERRNOS)
def test_a_failed_call_is_unknown_and_not_repeated(
    path: sgio.SgIo, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted command too may have been executed."""
    calls = []

    def fail(*arguments: object) -> int:
        calls.append(arguments)
        raise OSError(getattr(errno, name), "")

    monkeypatch.setattr(sgio, "ioctl", fail)
    command = build.preempt_and_abort(1, 2)
    outcome = classify(command, path.execute(command, 1000))
    assert (outcome.verdict, len(calls)) == (UNKNOWN, 1)
    assert f"({name})" in outcome.detail


def test_good_without_a_byte_is_no_list_of_nobody(
    path: sgio.SgIo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says GOOD and moves nothing, and no residual tells."""
    monkeypatch.setattr(sgio, "ioctl", lambda *arguments: 0)
    command = build.read_keys(8192)
    outcome = classify(command, path.execute(command, 1000))
    with pytest.raises(ProtocolError):
        parse_read_keys(outcome.data, 8192)


def test_another_device_under_the_same_name() -> None:
    with pytest.raises(DeviceError, match="became another device"):
        sgio.SgIo(Node("/dev/null", "block", os.stat("/dev/zero").st_rdev, "/nowhere"))


def test_errors_and_results_go_to_syslog(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "syslog", lambda level, text: said.append((level, text)))
    log = Log(Options({}))
    log.hear(ERROR, "off failed: why")
    log.hear(INFO, "off n2: Success")
    Log(Options({"quiet": "1"})).hear(ERROR, "unheard")
    assert said == [
        (syslog.LOG_ERR, "error: off failed: why"),
        (syslog.LOG_INFO, "info: off n2: Success"),
    ]
