"""What YAML says, as kubectl reads it; tests/integration/test_reading.py asks kubectl itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideflow.engine.parsing import parse
from tideflow.errors import ManifestError

SAME = [
    *("12:30", "2222:22", "1:30:00", "1:30.5", "-1:30", "2024-01-01", "2024-01-01T00:00:00Z"),
    *("=", "<<", "nan", "inf", "tRue", "_1", "._5", "1.2.3", "1e", "0x", "0o8", "0b2", "1e400", "123abc"),
    "0x1FFFFFFFFFFFFFFFF",
]
"""What looks as if it were something else, and is a text."""
VALUES: dict[str, Any] = {
    **{text: text for text in SAME},
    **dict.fromkeys(("y", "Y", "yes", "Yes", "on", "ON", "true", "TRUE"), True),
    **dict.fromkeys(("n", "N", "no", "No", "off", "OFF", "false", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    "1e3": 1000,
    "1E+3": 1000,
    "1.5e3": 1500,
    "1e-3": 0.001,
    "1.0": 1,
    "1.": 1,
    "-0.0": 0,
    "1e18": 10**18,
    "0o17": 15,
    "-0o17": -15,
    "017": 15,
    "010": 8,
    "08": 8,
    "0778": 778,
    "00": 0,
    "0x1F": 31,
    "+0x1f": 31,
    "0b101": 5,
    "+1": 1,
    "-1": -1,
    "+1.5": 1.5,
    ".5": 0.5,
    "-.5": -0.5,
    "1_000": 1000,
    "1_": 1,
    "0x_1F": 31,
    "1_000.5": 1000.5,
    "1e3_0": 1e30,
    ".1_0": 0.1,
    "9223372036854775807": 2**63 - 1,
    "9223372036854775808": 2**63,
    "18446744073709551616": 2.0**64,
    "18446744073709551.0": 18446744073709550,
    "1.5e300": 1.5e300,
    "9" * 5000: "9" * 5000,
    "!!str 12": "12",
    "!!str yes": "yes",
    '"12"': "12",
    "'yes'": "yes",
    "!!int '12'": 12,
    "!!float 3": 3,
    "!!bool 'yes'": True,
    "!!null ''": None,
    "!!binary aGVsbG8=": "hello",
    "!own x": "x",
    "!own 1": "1",
    "!!timestamp 2024-01-01": "2024-01-01",
    "!!set {a}": {"a": None},
    "!!omap [a: 1]": [{"a": 1}],
    "!own {a: 1}": {"a": 1},
    "!own [1]": [1],
    "{x: &m {a: 1}, z: *m}": {"x": {"a": 1}, "z": {"a": 1}},
    "{a: 1, a: 2}": {"a": 2},
    "{<<: {a: 1, b: 1}, a: 2}": {"a": 2, "b": 1},
    "{a: 2, <<: {a: 1, b: 1}}": {"a": 1, "b": 1},
    "{<<: [{a: 1}, {a: 2, b: 2}]}": {"a": 1, "b": 2},
    "{<<: {a: 1}, <<: {b: 2}}": {"a": 1, "b": 2},
    "{<<: []}": {},
    '{"<<": {a: 1}}': {"<<": {"a": 1}},
}
KEYS = {
    "80": "80",
    "true": "true",
    "yes": "true",
    "n": "false",
    "0x1F": "31",
    "010": "8",
    "-5": "-5",
    "2024-01-01": "2024-01-01",
    "12:30": "12:30",
    "!!str 1": "1",
    "!!binary aGVsbG8=": "hello",
    "1.5": "1.5",
    "1e3": "1000",
    "0.1": "0.1",
    "1000000.0": "1e+06",
    "1234567.0": "1.234567e+06",
    "3.14159265358979": "3.1415927",
    "0.0001": "0.0001",
    "1e-5": "1e-05",
    "16777217.0": "1.6777216e+07",
    "1e300": ".inf",
    "-.inf": "-.inf",
    ".nan": ".nan",
    "-0.0": "-0",
}
REFUSED = {
    **dict.fromkeys((".inf", "-.INF", ".nan"), "is no value that Kubernetes has"),
    **dict.fromkeys(("{~: a}", "{[a]: b}", "{{a: b}: c}", "{9223372036854775808: a}"), "has to be a text"),
    **dict.fromkeys(("{<<: 1}", "{<<: [1]}", "{<<: ~}"), "only mappings can be merged"),
    **dict.fromkeys(("!!int 1e3", "!!int x", "!!int", "!!float yes", "!!null x", "!!bool 1"), "is tagged as"),
    "!!binary '!!!'": "is not base64",
    "&m [*m]": "contains itself",
    "{<<: &m {<<: *m}}": "contains itself",
    "*nope": "this is not YAML",
}


def read(text: str) -> Any:
    """Return the value that stands in a document of two lines."""
    [document] = parse(f"x: 1\nv: {text}\n", "a.yaml")
    return document["v"]


@pytest.mark.parametrize("text", VALUES)
def test_values_are_what_kubectl_takes_them_for(text: str) -> None:
    """Of the very type: whole numbers are never written with a point."""
    found = read(text)
    assert json.dumps(found) == json.dumps(VALUES[text])


@pytest.mark.parametrize("text", KEYS)
def test_keys_are_texts_as_kubectl_writes_them(text: str) -> None:
    """Numbers with a point as Go writes them in 32 bits."""
    assert read(f"{{{text}: a}}") == {KEYS[text]: "a"}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_json_is_refused_with_its_line(text: str) -> None:
    """As kubectl refuses it, in words that say more."""
    with pytest.raises(ManifestError, match=r"^a\.yaml, line [23]: .*") as caught:
        read(text)
    assert REFUSED[text] in str(caught.value)


def test_what_is_nested_too_deeply_is_refused() -> None:
    """It would end in Python's own limit, anywhere."""
    with pytest.raises(ManifestError, match="nested too deeply"):
        read("[" * 5000 + "]" * 5000)


@given(st.text(st.sampled_from("0123456789_+-.eExXoObBinfayn:~=<"), min_size=1, max_size=12))
def test_nothing_without_quotes_is_a_defect(text: str) -> None:
    """It is JSON, or an error that says where."""
    try:
        json.dumps(read(text), allow_nan=False)
    except ManifestError:
        return
