"""Which upgrades are refused, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.operations.test_clusters import FOUND

from tideflow.operations.upgrading import is_asked_for, problems, supported
from tideflow.vendoring import pins

if TYPE_CHECKING:
    from tideflow.vendoring.pins import Release

OLD = replace(FOUND, version="1.33.6-do.2")
OFFERED = ["1.34.1-do.2", "1.33.9-do.0"]


@pytest.fixture(scope="module")
def release() -> Release:
    """Return the release that is vendored by default, which runs on 1.33 and 1.34."""
    return pins.read(Path("vendored/kubeflow.toml")).release("26.03")


@pytest.mark.parametrize(
    ("version", "asked"),
    [("1.33", False), ("1.34", True), ("1.33.9-do.0", True), ("1.33.6-do.2", False), ("1.33.1", False)],
)
def test_a_newer_version_is_an_upgrade(version: str, *, asked: bool) -> None:
    """A minor that the cluster has is none, whatever its patch."""
    assert is_asked_for(OLD, version) is asked


def test_an_upgrade_is_one_that_is_offered_and_supported(release: Release) -> None:
    """By DigitalOcean from here, and by Kubeflow."""
    assert list(problems(OLD, "1.34", OFFERED, release, unsupported=False)) == []
    assert supported(["1.35.0-do.0", *OFFERED], release) == OFFERED
    assert supported(["1.35.0-do.0"], None) == ["1.35.0-do.0"]


def test_there_is_no_way_back(release: Release) -> None:
    """To an older minor; an older patch is left."""
    (why,) = problems(FOUND, "1.33", [], release, unsupported=False)
    assert "has Kubernetes 1.34.1-do.2, and the setting kubernetes_version is 1.33: there is no" in str(why)
    assert list(problems(FOUND, "1.34.0-do.0", [], release, unsupported=False)) == []
    (why,) = problems(FOUND, "latest", [], release, unsupported=False)
    assert "set kubernetes_version to 1.34" in str(why)


def test_what_is_not_offered_from_here_is_refused(release: Release) -> None:
    """With what is; while nobody knows, it is not."""
    found = replace(FOUND, version="1.32.1-do.0")
    (why,) = problems(found, "1.34", ["1.33.6-do.2"], release, unsupported=False)
    assert "from which DigitalOcean offers no upgrade to 1.34; minors come one after the other" in str(why)
    assert "what it offers (1.33.6-do.2)" in str(why)
    assert list(problems(found, "1.34", None, release, unsupported=False)) == []


def test_what_kubeflow_does_not_support_is_refused(release: Release) -> None:
    """Unless it is asked for."""
    (why,) = problems(FOUND, "1.35", ["1.35.0-do.0"], release, unsupported=False)
    assert "Kubeflow 26.03 does not run on Kubernetes 1.35" in str(why)
    assert list(problems(FOUND, "1.35", ["1.35.0-do.0"], release, unsupported=True)) == []
