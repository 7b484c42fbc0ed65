"""What pyinfra logs has no hash of a password in it, and is whole but for that."""

import logging

import pytest

from tideflow.connectors.hiding import hide

HASH = "$2b$12$" + "a./Z0" * 10 + "abc"


@pytest.mark.parametrize(
    ("message", "arguments", "logged"),
    [
        ("group %s: %r", ("all", {"hash": HASH}), "group all: {'hash': '***'}"),
        (f"100% of {HASH}, {HASH}", (), "100% of ***, ***"),
        ("%d%%", (7,), "7%"),
        ("$2b$12$ is how they begin", (), "$2b$12$ is how they begin"),
    ],
)
def test_hashes_are_left_out(message: str, arguments: tuple[object, ...], logged: str) -> None:
    """Wherever they are in a record; all else is logged as it was."""
    record = logging.LogRecord("pyinfra", logging.DEBUG, "x.py", 1, message, arguments, None)
    assert hide(record)
    assert record.getMessage() == logged


def test_what_is_no_text_is_left_alone() -> None:
    """It is logged as it is."""
    record = logging.LogRecord("pyinfra", logging.DEBUG, "x.py", 1, ["a"], None, None)
    assert hide(record)
    assert record.msg == ["a"]
