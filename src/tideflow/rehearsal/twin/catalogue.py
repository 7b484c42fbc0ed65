"""What the twin offers: regions, sizes of droplets, Kubernetes versions, 1-clicks.

A small part of what DigitalOcean's API offered in November 2026. The Kubernetes server behind a cluster of
the twin is of one version, whatever version is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """A droplet's size: its CPUs, MiB of memory, and the regions that have it."""

    slug: str
    name: str
    cpus: int
    memory_mib: int

    @property
    def regions(self) -> list[str]:
        """The slugs of the regions that have it: not all have dedicated CPUs."""
        return [slug for slug in REGIONS if slug not in _SHARED_ONLY or self.slug.startswith("s-")]


REGIONS = {
    "ams3": "Amsterdam 3",
    "blr1": "Bangalore 1",
    "fra1": "Frankfurt 1",
    "lon1": "London 1",
    "nyc1": "New York 1",
    "nyc3": "New York 3",
    "sfo3": "San Francisco 3",
    "sgp1": "Singapore 1",
    "syd1": "Sydney 1",
    "tor1": "Toronto 1",
}

_SHARED_ONLY = {"blr1"}

SIZES = {
    size.slug: size
    for size in (
        Size("s-1vcpu-2gb", "s-1vcpu-2gb", 1, 2048),
        Size("s-2vcpu-2gb", "s-2vcpu-2gb", 2, 2048),
        Size("s-2vcpu-4gb", "s-2vcpu-4gb", 2, 4096),
        Size("s-4vcpu-8gb", "s-4vcpu-8gb", 4, 8192),
        Size("s-8vcpu-16gb", "s-8vcpu-16gb", 8, 16384),
        Size("g-2vcpu-8gb", "g-2vcpu-8gb", 2, 8192),
        Size("g-4vcpu-16gb", "g-4vcpu-16gb", 4, 16384),
    )
}

VERSIONS = {
    # slug: Kubernetes' own version, newest first
    "1.34.1-do.2": "1.34.1",
    "1.33.6-do.2": "1.33.6",
    "1.32.10-do.2": "1.32.10",
}

ONE_CLICKS = ("ingress-nginx", "metrics-server")

DROPLET_LIMIT = 25


def upgrades(slug: str) -> list[str]:
    """Return the versions that a cluster of one can be upgraded to: newer ones, of its minor or the next."""

    def number(version: str) -> list[int]:
        return [int(part) for part in version.partition("-")[0].split(".")]

    major, minor, _ = number(slug)
    return [
        offer
        for offer in VERSIONS
        if number(offer) > number(slug) and number(offer)[:2] in ([major, minor], [major, minor + 1])
    ]


def version(asked: str) -> str | None:
    """Return the slug for a slug, a version, a minor, or ``latest``; None if there is none."""
    if asked == "latest":
        return next(iter(VERSIONS))
    return next(
        (slug for slug, full in VERSIONS.items() if asked in {slug, full, full.rpartition(".")[0]}),
        None,
    )
