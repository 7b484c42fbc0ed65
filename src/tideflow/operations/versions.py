"""DigitalOcean's versions of Kubernetes: which one a setting means, and what may be asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LATEST = "latest"
"""What DigitalOcean's API takes for the newest version that it has, and Tideflow does not."""


def minor(version: str) -> str:
    """Return the minor of a version or a slug: ``1.34`` of ``1.34.1-do.2``."""
    return ".".join(version.split(".")[:2])


def is_of(slug: str, version: str) -> bool:
    """Tell whether DigitalOcean's slug, such as ``1.34.1-do.0``, is of a minor, a patch, or is that slug."""
    return slug == version or slug.startswith((f"{version}.", f"{version}-"))


def is_older(version: str, other: str) -> bool:
    """Tell whether a version is older than another one, as far as both say it: 1.34 is not, of 1.34.1."""
    first, second = _numbers(version), _numbers(other)
    known = min(len(first), len(second))
    return first[:known] < second[:known]


def newest(slugs: Iterable[str], version: str) -> str | None:
    """Return the newest slug of a minor or a patch; None if there is none."""
    return max((slug for slug in slugs if is_of(slug, version)), key=_numbers, default=None)


def minors(slugs: Iterable[str]) -> list[str]:
    """Return the minors of some slugs, newest first."""
    return list(dict.fromkeys(minor(slug) for slug in sorted(slugs, key=_numbers, reverse=True)))


def _numbers(slug: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", slug)]
