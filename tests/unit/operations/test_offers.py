"""Whether DigitalOcean offers what a cluster is to be made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tideflow.clients.provided import Account, Offer, Options, Size
from tideflow.operations.clusters import Wanted
from tideflow.operations.offers import Offers
from tideflow.vendoring.pins import Release

WANTED = Wanted(name="ml", region="nyc3", version="1.34", size="s-4vcpu-8gb", count=3)
RELEASE = Release(
    name="26.03", repository="r", commit="0" * 40, render="example", kubernetes=("1.33", "1.34")
)
OFFERS = Offers(
    options=Options(
        regions=(Offer("fra1", ""), Offer("nyc3", "")),
        sizes=(Offer("s-2vcpu-4gb", ""), Offer("s-4vcpu-8gb", ""), Offer("x-1", "")),
        versions=(Offer("1.35.0-do.0", ""), Offer("1.34.1-do.2", ""), Offer("1.32.10-do.2", "")),
    ),
    sizes={
        "s-2vcpu-4gb": Size("s-2vcpu-4gb", 2, 4096, ("fra1", "nyc3")),
        "s-4vcpu-8gb": Size("s-4vcpu-8gb", 4, 8192, ("nyc3",)),
    },
    account=Account("me@example.org", 25, "active"),
    droplets=20,
)


def why_not(
    offers: Offers = OFFERS, release: Release | None = RELEASE, *, unsupported: bool = False, **wanted: Any
) -> list[str]:
    """Return the problems as they are printed."""
    found = offers.problems(replace(WANTED, **wanted), release, unsupported=unsupported)
    return list(map(str, found))


def test_what_is_offered_is_no_problem() -> None:
    """Whether a release is vendored or not."""
    assert why_not() == []
    assert why_not(release=None) == []
    assert why_not(version="1.34.1-do.2", count=5) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"region": "moon1"}, "DigitalOcean offers no region 'moon1'; it offers: fra1, nyc3"),
        ({"size": "s-huge"}, "DigitalOcean offers no node_size 's-huge'; it offers: s-2vcpu-4gb, s-4vcpu"),
        (
            {"region": "fra1"},
            "the region fra1 has no s-4vcpu-8gb; set node_size to what it has (s-2vcpu-4gb)",
        ),
        ({"version": "1.33"}, "DigitalOcean offers no kubernetes_version '1.33', only 1.35, 1.34, 1.32"),
        (
            {"version": "1.32"},
            (
                "Kubeflow 26.03 does not run on Kubernetes 1.32: it supports 1.33, 1.34; set "
                "kubernetes_version to 1.34, or try it with unsupported_kubernetes set to true"
            ),
        ),
        ({"version": "1.35.0-do.0"}, "does not run on Kubernetes 1.35.0-do.0"),
        ({"version": "latest"}, "kubernetes_version is latest, which turns into another version"),
        ({"count": 6}, "the account may have 25 droplets and has 20: 6 more for nodes are too many"),
    ],
)
def test_what_is_not_is_a_problem_with_what_is(wanted: dict[str, Any], expected: str) -> None:
    """One line each."""
    (why,) = why_not(**wanted)
    assert why.startswith(expected) or expected in why


def test_another_minor_takes_an_explicit_setting() -> None:
    """Latest is refused all the same, and so is what is not offered."""
    assert why_not(version="1.35", unsupported=True) == []
    assert why_not(version="1.35", release=None) == []
    (why,) = why_not(version="latest", unsupported=True)
    assert "set kubernetes_version to 1.35 or 1.34 or 1.32" in why
    (why,) = why_not(version="1.31", unsupported=True)
    assert "offers no kubernetes_version" in why


def test_all_problems_are_told_at_once() -> None:
    """A locked account among them."""
    locked = replace(OFFERS, account=Account("me@example.org", 25, "locked"))
    found = why_not(locked, region="moon1", size="s-huge", version="1.19", count=30)
    assert len(found) == 6
    assert (
        found[0]
        == "the account me@example.org is locked; sign in at DigitalOcean's control panel, which says why"
    )


def test_what_a_token_may_not_know_is_no_problem() -> None:
    """It is said elsewhere that it was not checked."""
    blind = replace(OFFERS, account=None, sizes={}, droplets=0)
    assert why_not(blind, region="fra1", count=99) == []
    assert why_not(replace(blind, account=Account("", 0, "")), count=99) == []


def test_sizes_that_may_be_proposed_are_known_and_in_the_region() -> None:
    """By the API, or by the table of prices where it does not tell."""
    assert [size.slug for size in OFFERS.nodes("fra1")] == ["s-2vcpu-4gb"]
    assert [size.slug for size in replace(OFFERS, sizes={}).nodes("fra1")] == ["s-2vcpu-4gb", "s-4vcpu-8gb"]
    assert len(OFFERS.nodes("moon1")) == 2  # which is another problem
    assert OFFERS.size("x-1") is None
