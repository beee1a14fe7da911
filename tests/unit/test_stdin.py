"""parse_stdin(): key=value lines, read to the byte; and the checks of the table of parameters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fence_prbarrier.agent.cli import (
    MAX_LINE_BYTES,
    MAX_STDIN_BYTES,
    parse_stdin,
    read_arguments,
)
from fence_prbarrier.agent.parameters import BOOLEAN, BY_NAME, PARAMETERS, Options
from fence_prbarrier.errors import InvalidInput

LINE = MAX_LINE_BYTES


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("\n\n", {}),
        ("# plug=n1\n", {}),
        ("   # plug=n1", {}),
        ("plug=n1", {"plug": "n1"}),
        ("plug=n1\r\n", {"plug": "n1"}),
        ("  plug = n1  ", {"plug": "n1"}),
        ("plug='n1'", {"plug": "n1"}),
        ('plug="n1"', {"plug": "n1"}),
        ("plug=' n1 '", {"plug": " n1 "}),
        ("plug=''", {"plug": ""}),
        ("plug='", {"plug": "'"}),
        ("plug='n1\"", {"plug": "'n1\""}),
        ("plug=\"'n1'\"", {"plug": "'n1'"}),
        ("plug=a=b", {"plug": "a=b"}),
        ("plug=n1 # no comment", {"plug": "n1 # no comment"}),
        ("plug=", {"plug": ""}),
        ("plug=n1\nplug=n2", {"plug": "n2"}),
        ("plug=n1\nplug=", {"plug": ""}),
        ("plug=Größe", {"plug": "Größe"}),
    ],
)
def test_lines(text: str, values: dict[str, str]) -> None:
    assert parse_stdin(text.encode()) == (values, [])


def test_unknown_names_are_told_once_each_line_and_not_kept() -> None:
    assert parse_stdin(b"x=1\nplug=n1\ny=2\nPLUG=n2") == ({"plug": "n1"}, ["x", "y", "PLUG"])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\nplug", "line 2: expected key=value, got 'plug'"),
        (b"=", "line 1: expected key=value"),
        (b"plug=\xff", "line 1: not UTF-8"),
        (b"plug=\xc3", "line 1: not UTF-8"),
        (b"# \xff", "line 1: not UTF-8"),
        (b"plug=a\0b", "line 1: a NUL byte"),
        (b"plug=" + b"x" * (LINE - 4), f"line 1: longer than {LINE} bytes"),
    ],
)
def test_wrong_lines(data: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse_stdin(data)


def test_the_longest_line_is_taken() -> None:
    assert len(parse_stdin(b"plug=" + b"x" * (LINE - 5))[0]["plug"]) == LINE - 5
    assert MAX_STDIN_BYTES >= LINE


@given(st.binary(max_size=200))
def test_whatever_comes_it_is_read_or_refused(data: bytes) -> None:
    try:
        values, unknown = parse_stdin(data)
    except InvalidInput as error:
        assert "line" in str(error) and "\n" not in str(error)
    else:
        assert set(values) <= set(BY_NAME) and not set(unknown) & set(BY_NAME)


@given(
    st.dictionaries(
        st.sampled_from(sorted(BY_NAME)), st.from_regex(r"[a-z0-9:/.]+", fullmatch=True)
    )
)
def test_stdin_and_argv_say_the_same(values: dict[str, str]) -> None:
    """A long option is the stdin name with - for _; a flag has no value."""
    lines = "\n".join(f"{name}={value}" for name, value in values.items())
    assert parse_stdin(lines.encode())[0] == values
    words = []
    for name, value in values.items():
        flag = BY_NAME[name].kind == BOOLEAN
        words += [f"--{name.replace('_', '-')}"] if flag else [f"--{BY_NAME[name].long}", value]
    wanted = {name: "1" if BY_NAME[name].kind == BOOLEAN else text for name, text in values.items()}
    assert read_arguments(words) == (wanted, [])


@pytest.mark.parametrize("parameter", [p for p in PARAMETERS if p.short], ids=lambda p: p.name)
def test_short_options(parameter: object) -> None:
    flag = parameter.kind == BOOLEAN  # type: ignore[attr-defined]
    words = [f"-{parameter.short}"] + ([] if flag else ["x"])  # type: ignore[attr-defined]
    assert read_arguments(words)[0] == {parameter.name: "1" if flag else "x"}  # type: ignore[attr-defined]


def test_booleans_are_six_words_each_way_and_no_other() -> None:
    check = BY_NAME["quiet"].check
    for word in ("1", "yes", "on", "true", "YES", "True"):
        assert check(word) == "1"
    for word in ("0", "no", "off", "false", "NO", "False"):
        assert check(word) == "0"
    for word in ("2", "y", "n", "maybe", "enabled", "-", "1.0", "wahr"):
        with pytest.raises(InvalidInput, match="quiet="):
            check(word)


@pytest.mark.parametrize("name", ["power_timeout", "command_timeout", "retry_on", "delay"])
def test_numbers_are_checked_at_both_ends(name: str) -> None:
    parameter = BY_NAME[name]
    for good in (parameter.low, parameter.high):
        assert parameter.check(str(good)) == str(good)
    for bad in (parameter.low - 1, parameter.high + 1, "", "1.5", "1s", " 1", "1 ", "٣", "0x10"):
        with pytest.raises(InvalidInput, match=f"{name}="):
            parameter.check(str(bad))


def test_the_defaults_are_the_contracts() -> None:
    """The table of design and README; a changed default changes what is configured out there."""
    wanted = {
        "action": "off", "plug": "", "devices": "", "devices_file": "", "cluster_name": "",
        "cluster_tag": "", "nodes": "", "local_name": "", "aptpl": "auto", "rejoin": "reboot",
        "state_dir": "/run/fence_prbarrier", "drain": "auto", "command_timeout": "5",
        "power_timeout": "60", "delay": "0", "power_wait": "0", "separator": ",", "quiet": "0",
        "verbose": "0",
    }  # fmt: skip
    options = Options({})
    assert {name: options[name] for name in wanted} == wanted


def test_an_empty_value_is_the_default() -> None:
    options = Options(dict.fromkeys(BY_NAME, ""))
    assert all(options[parameter.name] == parameter.default for parameter in PARAMETERS)


def test_a_long_value_does_not_fill_the_line() -> None:
    with pytest.raises(InvalidInput) as caught:
        Options({"quiet": "x" * 5000})
    assert len(str(caught.value)) < 200
