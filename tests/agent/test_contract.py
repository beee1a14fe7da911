"""The contract, action by action: exit codes, stdout to the letter, and a silent stderr."""

from __future__ import annotations

import time

import pytest

from .stage import CLUSTER, NODES, Stage, assert_refused, finish, start

RESERVED = 0x18


def test_join_evict_and_rejoin_tell_one_story(joined: Stage) -> None:
    """on, status, off, off again, and what the LU itself lets through."""
    assert joined.do("n1", "status", "n2") == (0, "Status: ON\n", "")
    assert joined.write("n2") == 0
    assert joined.do("n1", "off", "n2") == (0, "Success: Powered OFF\n", "")
    assert joined.write("n2") == RESERVED
    assert joined.write("n3", unit=1) == joined.write("n1") == 0
    assert joined.do("n1", "status", "n2") == (2, "Status: OFF\n", "")
    assert joined.do("n3", "status", "n1") == (0, "Status: ON\n", "")
    assert joined.do("n1", "off", "n2") == (0, "Success: Already OFF\n", "")
    assert joined.do("n3", "list-status") == (0, "n1,1,ON\nn2,2,OFF\nn3,3,ON\n", "")
    assert joined.do("n3", "monitor") == (0, "", "")


def test_list_status_goes_by_any_lu_and_by_keys_of_this_cluster(joined: Stage) -> None:
    """n3 is left on one LU; a stranger's key bears n2's number, which is told once."""
    assert joined.do("n1", "off", "n2").code == 0
    (own,) = joined.keys("n3")
    assert joined.reserve_out("n3", 0, own, 0, unit=1) == 0
    assert joined.reserve_out("n4", 6, 0, 0xBEEF_0002_00000001) == 0
    code, out, err = joined.do("n1", "list-status")
    assert (code, out) == (0, "n1,1,ON\nn2,2,OFF\nn3,3,ON\n")
    assert err.count("is registered too and may write") == err.count("\n") == 1


def test_a_second_on_changes_nothing(joined: Stage) -> None:
    """Same incarnation, PRGENERATION unchanged, nothing sent that changes state."""
    before, memory = joined.pictures(), joined.memories()
    assert joined.do("n1", "on", "n1") == (0, "Success: Already ON\n", "")
    assert (joined.pictures(), joined.memories()) == (before, memory)


def test_on_registers_everywhere_with_aptpl_and_type_5(joined: Stage) -> None:
    for picture in joined.pictures():
        assert sum(line.startswith("registered") for line in picture) == 3
        assert any(line.startswith("reserved type 5 ") for line in picture)
        assert "persist through power loss" in picture[0]


def test_on_repairs_a_lu_that_is_new(joined: Stage) -> None:
    """A path or LU that is new since gets the same key."""
    third = joined.folder / "lu2"
    joined.units.append(third)
    devices = f"{joined.devices}?profile=spec"
    assert joined.do("n1", "on", "n1", devices=devices) == (0, "Success: Powered ON\n", "")
    assert joined.keys("n1", 2) == joined.keys("n1", 0) != []


def test_an_already_off_is_verified_anew(joined: Stage) -> None:
    """Already OFF is no shortcut: without a reservation it fails, and puts the barrier up."""
    assert joined.do("n1", "off", "n2").code == 0
    holder = joined.keys("n1")[0]
    assert joined.reserve_out("n1", 2, holder, kind=5) == 0  # RELEASE
    assert joined.do("n1", "status", "n2").code == 1
    repaired = joined.do("n1", "off", "n2")
    assert (repaired.code, repaired.out) == (1, "")
    assert "no reservation stands" in repaired.err
    assert joined.do("n1", "off", "n2") == (0, "Success: Already OFF\n", "")
    assert any(line.startswith("reserved type 5 ") for line in joined.pictures()[0])


def test_list_needs_no_device_and_keeps_the_order_of_numbers(bare: Stage) -> None:
    nodes = "b:7,a:9,c:1"
    result = bare.do("n1", "list", nodes=nodes, devices=None, state_dir=None)
    assert result == (0, "c,1\nb,7\na,9\n", "")


def test_the_separator_is_the_users(joined: Stage) -> None:
    assert joined.do("n1", "list", separator="|") == (0, "n1|1\nn2|2\nn3|3\n", "")
    result = finish(joined.begin("n1", "list-status", separator=";"))
    assert result == (0, "n1;1;ON\nn2;2;ON\nn3;3;ON\n", "")


def test_validate_all_needs_no_live_node(bare: Stage) -> None:
    """pcs gives a nodename that may be a dummy, and shows any stderr as a warning."""
    before = bare.pictures()
    assert bare.do("n1", "validate-all", nodename="node1") == (0, "", "")
    assert bare.do("n1", "validate-all") == (0, "", "")
    assert bare.pictures() == before
    assert not bare.state("n1").exists()


def test_validate_all_says_what_is_wrong(bare: Stage) -> None:
    """It does not say yes to everything."""
    assert_refused(bare.do("n1", "validate-all", devices=None), "devices")
    assert_refused(bare.do("n9", "validate-all"), "'n9'", "local_name")
    assert_refused(bare.do("n1", "validate-all", drain="wait:0"), "drain", "wait:SECONDS")
    assert_refused(bare.do("n1", "validate-all", state_dir="run"), "state_dir", "absolute")
    bare.reserve_out("stranger", 6, 0, 0x51)
    bare.reserve_out("stranger", 1, 0x51, kind=5)
    assert_refused(bare.do("n1", "validate-all"), str(bare.units[0]), "fence_scsi")


def test_monitor_is_healthy_before_the_first_join_and_not_after_an_eviction(bare: Stage) -> None:
    """A cluster manager starts its fence devices before it unfences."""
    assert bare.do("n1", "monitor") == (0, "", "")
    bare.join_all()
    assert bare.do("n2", "monitor") == (0, "", "")
    assert bare.do("n1", "off", "n2").code == 0
    assert_refused_everywhere(bare.do("n2", "monitor"), bare)


def assert_refused_everywhere(result: object, stage: Stage) -> None:
    assert_refused(result, "evicted", *map(str, stage.units))


def test_there_is_no_reboot(joined: Stage) -> None:
    """Fabric fencing has none."""
    assert_refused(joined.do("n1", "reboot", "n2"), "action='reboot'", "off", "on")


def test_on_runs_on_its_target_only(joined: Stage) -> None:
    assert_refused(joined.do("n1", "on", "n2"), "'n2'", "on_target")


def test_a_node_does_not_evict_itself(joined: Stage) -> None:
    """Rule 8."""
    before = joined.pictures()
    assert_refused(joined.do("n1", "off", "n1"), "itself")
    assert joined.pictures() == before


@pytest.mark.parametrize("name", ["plug", "port", "nodename"])
def test_every_name_of_the_plug_serves(joined: Stage, name: str) -> None:
    assert joined.do("n1", "status", **{name: "n2"}) == (0, "Status: ON\n", "")
    assert joined.do("n1", "status", **{name: "2"}) == (0, "Status: ON\n", "")


def test_plug_is_preferred_to_port_and_port_to_nodename(joined: Stage) -> None:
    assert joined.do("n1", "off", "n2").code == 0
    assert joined.do("n1", "status", "n2", port="n3", nodename="n3").code == 2
    assert joined.do("n1", "status", port="n2", nodename="n3").code == 2
    assert joined.do("n1", "status", nodename="n3").code == 0


def test_off_is_the_default_action(joined: Stage) -> None:
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in _plain(joined).items()]
    result = finish(start([*arguments, "-n", "n2"], joined.folder))
    assert result == (0, "Success: Powered OFF\n", "")


def _plain(stage: Stage) -> dict[str, str]:
    return stage.options("n1", {})


def test_pcs_update_scsi_devices_calls_it_so(joined: Stage) -> None:
    """AGENT --action=status --devices=D --plug=NODE; --action=on --devices a,b --plug=NODE."""
    common = ["--nodes", NODES, "--cluster-name", CLUSTER, "--local-name", "n1"]
    common += ["--state-dir", str(joined.state("n1"))]
    first, second = joined.devices.split(",")
    call = ["--action=status", f"--devices={first}", "--plug=n1", *common]
    assert finish(start(call, joined.folder)) == (0, "Status: ON\n", "")
    call = ["--action=on", "--devices", f"{first},{second}", "--plug=n1", *common]
    assert finish(start(call, joined.folder)) == (0, "Success: Already ON\n", "")


def test_devices_by_blanks_and_by_file(joined: Stage) -> None:
    first, second = joined.devices.split(",")
    listed = joined.folder / "devices.list"
    listed.write_text(f"# the shared disks\n\n{second}  # the second\n{first}\n")
    result = joined.do("n1", "status", "n2", devices=f" {first}  {second} ")
    assert result == (0, "Status: ON\n", "")
    for devices in (None, first):
        result = joined.do("n1", "on", "n1", devices=devices, devices_file=listed)
        assert result == (0, "Success: Already ON\n", "")


def test_delay_and_power_wait(joined: Stage) -> None:
    """delay precedes off and nothing else; power_wait follows on and off."""
    for action, plug, options, least, most in (
        ("off", "n2", {"delay": 1}, 1.0, 9.0),
        ("off", "n2", {"power_wait": 1}, 1.0, 9.0),
        ("status", "n3", {"delay": 30, "power_wait": 30}, 0.0, 9.0),
        ("on", "n1", {"delay": 30}, 0.0, 9.0),
    ):
        began = time.monotonic()
        assert joined.do("n1", action, plug, **options).code == 0
        assert least <= time.monotonic() - began < most, action


def test_delay_is_no_part_of_power_timeout(joined: Stage) -> None:
    assert joined.do("n1", "off", "n2", delay=2, power_timeout=1).code == 0


def test_what_fence_agents_users_have_set_keeps_working(joined: Stage) -> None:
    options = {
        "login_timeout": 5, "shell_timeout": 3, "stonith_status_sleep": 1, "retry_on": 3,
        "plug_separator": ",", "disable_timeout": "true", "verbose_level": 0, "quiet": "no",
    }  # fmt: skip
    assert joined.do("n1", "status", "n2", **options) == (0, "Status: ON\n", "")


def test_help_version_and_manpage_need_nothing(bare: Stage) -> None:
    for arguments, words in (
        (["--help"], ("Usage:", "--devices-file", "Exit codes:")),
        (["-h"], ("Usage:",)),
        (["-V"], ("fence_prbarrier 0",)),
        (["-o", "manpage"], (".TH FENCE_PRBARRIER 8", "devices\\-file")),
    ):
        result = finish(start(arguments, bare.folder))
        assert (result.code, result.err) == (0, "")
        assert all(word in result.out for word in words), arguments
