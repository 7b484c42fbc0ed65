"""Which of DigitalOcean's versions a setting means."""

import pytest

from tideflow.operations import versions

OFFERED = ["1.34.1-do.2", "1.34.10-do.0", "1.34.9-do.5", "1.33.6-do.2", "1.33.6-do.10"]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("1.34", "1.34.10-do.0"),
        ("1.33", "1.33.6-do.10"),
        ("1.34.1", "1.34.1-do.2"),
        ("1.34.9-do.5", "1.34.9-do.5"),
        ("1.3", None),
        ("1.32", None),
        ("latest", None),
    ],
)
def test_a_minor_means_its_newest_patch(asked: str, meant: str | None) -> None:
    """Numbers are compared as numbers, in whatever order they are offered."""
    assert versions.newest(OFFERED, asked) == meant


@pytest.mark.parametrize(
    ("version", "other", "older"),
    [
        ("1.33", "1.34.1-do.2", True),
        ("1.34", "1.34.1-do.2", False),
        ("1.34.1-do.1", "1.34.1-do.2", True),
        ("1.9", "1.10", True),
        ("1.35", "1.34.1-do.2", False),
    ],
)
def test_versions_are_older_as_far_as_both_say_it(version: str, other: str, *, older: bool) -> None:
    """A minor is not older than its patches."""
    assert versions.is_older(version, other) is older


def test_the_minors_that_are_offered() -> None:
    """Newest first, each once."""
    assert versions.minors(OFFERED) == ["1.34", "1.33"]
    assert versions.minor("1.34") == "1.34"
