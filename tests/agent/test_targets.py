"""Targets that depart from the standard: what can be done there, and what is said where not."""

from __future__ import annotations

from pathlib import Path

import pytest

from .stage import Stage, assert_refused


@pytest.fixture
def _stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    return Stage(tmp_path, lus=2, profile=request.param).join_all()


@pytest.mark.parametrize("_stage", ["lio"], indirect=True)
def test_lio_is_reset_after_the_keys_are_gone(_stage: Stage) -> None:
    """The quirk table, by INQUIRY vendor: PREEMPT AND ABORT alone aborts nothing there."""
    result = _stage.do("n1", "off", "n2", verbose_level=3)
    assert (result.code, result.out) == (0, "Success: Powered OFF\n")
    assert result.err.count("LOGICAL UNIT RESET on") == 2
    assert "drained by: LU reset" in result.err
    assert _stage.do("n3", "status", "n2").code == 2


@pytest.mark.parametrize("_stage", ["lio"], indirect=True)
def test_drain_target_is_taken_at_its_word(_stage: Stage) -> None:
    result = _stage.do("n1", "off", "n2", verbose_level=3, drain="target")
    assert (result.code, result.out) == (0, "Success: Powered OFF\n")
    assert "LOGICAL UNIT RESET" not in result.err


@pytest.mark.parametrize("_stage", ["liar"], indirect=True)
def test_a_liar_is_found_out(_stage: Stage) -> None:
    """GOOD to PREEMPT AND ABORT, and the key stays: rule 1."""
    assert_refused(
        _stage.do("n1", "off", "n2"), "node 2", "still registered", f"mock:{_stage.units[0]}"
    )
    assert _stage.do("n3", "status", "n2") == (0, "Status: ON\n", "")
    assert _stage.keys("n2", 1) != []


@pytest.mark.parametrize("_stage", ["tgt"], indirect=True)
def test_tgt_has_no_preempt_and_abort(_stage: Stage) -> None:
    """Never a fall-back to PREEMPT; the line names the command and what came back."""
    before = _stage.pictures()
    result = _stage.do("n1", "off", "n2")
    assert_refused(result, "PREEMPT AND ABORT", "ILLEGAL REQUEST", str(_stage.units[0]))
    assert _stage.pictures() == before
    assert _stage.do("n3", "list-status").out == "n1,1,ON\nn2,2,ON\nn3,3,ON\n"


@pytest.mark.parametrize("_stage", ["spec"], indirect=True)
def test_drain_wait_lets_time_pass(_stage: Stage) -> None:
    result = _stage.do("n1", "off", "n2", drain="wait:1", verbose_level=1)
    assert (result.code, result.out) == (0, "Success: Powered OFF\n")
    assert result.err.count("1 s waited") == 2


@pytest.mark.parametrize("_stage", ["spec"], indirect=True)
def test_an_abort_that_was_never_seen_to_end(_stage: Stage) -> None:
    """The reply is lost: drain=auto resets the LU, drain=target cannot succeed (rule 9)."""
    _stage.fault("lost-reply op=5f/05")
    result = _stage.do("n1", "off", "n2", drain="target")
    assert_refused(result, "PREEMPT AND ABORT", str(_stage.units[0]), "drain=")
    _stage.fault("lost-reply op=5f/05")
    result = _stage.do("n1", "off", "n3", verbose_level=3)
    assert (result.code, result.out) == (0, "Success: Powered OFF\n")
    assert result.err.count("LOGICAL UNIT RESET on") == 1
    assert f"LOGICAL UNIT RESET on mock:{_stage.units[0]}" in result.err


@pytest.mark.parametrize("_stage", ["spec"], indirect=True)
def test_aptpl_as_the_administrator_says(_stage: Stage) -> None:
    """no: not asked for; yes: demanded."""
    _stage.reboot("n1")
    assert _stage.do("n1", "on", "n1", aptpl="no") == (0, "Success: Powered ON\n", "")
    assert "are lost with power" in _stage.pictures()[0][0]
    _stage.reboot("n1")
    assert _stage.do("n1", "on", "n1", aptpl="yes") == (0, "Success: Powered ON\n", "")
    assert "persist through power loss" in _stage.pictures()[0][0]


@pytest.mark.parametrize("_stage", ["tgt"], indirect=True)
def test_aptpl_yes_where_the_target_cannot(_stage: Stage) -> None:
    _stage.reboot("n1")
    assert_refused(_stage.do("n1", "on", "n1", aptpl="yes"), "aptpl=yes", "power loss")
