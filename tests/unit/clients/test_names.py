"""Names of DNS are written in one way, whoever wrote them."""

from __future__ import annotations

import pytest

from tideflow.clients import names


@pytest.mark.parametrize(
    ("given", "zone", "written"),
    [
        ("ML.Example.com.", "", "ml.example.com"),
        ("ml", "example.com", "ml.example.com"),
        ("ML.example.org.", "example.com", "ml.example.org"),
        ("@", "Example.com", "example.com"),
        ("*.ml", "example.com", "*.ml.example.com"),
        ("Bücher.example", "", "xn--bcher-kva.example"),
        ("XN--bcher-KVA.example", "", "xn--bcher-kva.example"),
        ("_tideflow.ml", "example.com", "_tideflow.ml.example.com"),
    ],
)
def test_a_name_is_written_in_one_way(given: str, zone: str, written: str) -> None:
    """Whole, in lower case and ASCII, without the last dot."""
    assert names.plain(given, zone) == written


@pytest.mark.parametrize("given", ["a..b", "x" * 64, "ü" * 70, ".".join(["a" * 60] * 5), "\u200d.com"])
def test_what_can_be_no_name_is_one_error(given: str) -> None:
    """Of one kind, whatever the library finds wrong."""
    with pytest.raises(ValueError, match="no name of DNS"):
        names.plain(given)


def test_a_zone_knows_its_own_names() -> None:
    """And not those that only end alike."""
    assert names.relative("example.com", "example.com") == "@"
    assert names.relative("*.ml.example.com", "example.com") == "*.ml"
    assert names.is_within("example.com", "example.com")
    assert names.is_within("ml.example.com", "example.com")
    assert not names.is_within("my-example.com", "example.com")
