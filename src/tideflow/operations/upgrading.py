"""Upgrades of a cluster's Kubernetes: what DigitalOcean offers from here, and Kubeflow's release supports."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tideflow.errors import ApplyError, SettingError
from tideflow.operations import versions
from tideflow.operations.offers import unsupported_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.clients.provided import Cluster
    from tideflow.vendoring.pins import Release

REHEARSED = "in a rehearsal an upgrade changes the API's states and version only: Kubernetes stays as it is"
"""What is said of upgrades where they are not real."""


def is_asked_for(found: Cluster, version: str) -> bool:
    """Tell whether a setting wants a version that is newer than the cluster's."""
    same = versions.is_of(found.version, version)
    return not same and not versions.is_older(version, found.version)


def problems(
    found: Cluster,
    version: str,
    offered: Sequence[str] | None,
    release: Release | None,
    *,
    unsupported: bool,
) -> Iterator[SettingError]:
    """Yield what keeps a cluster from getting the ``version`` of the settings, with what to do about it.

    ``offered`` are the versions it can be upgraded to, None if that is not known yet; ``release`` is what is
    to run on it.
    """
    the_cluster = f"the cluster {found.name} has Kubernetes {found.version}"
    minor = versions.minor(found.version)
    hint = f"set kubernetes_version to {minor}, or to a newer minor"
    if version == versions.LATEST:
        yield SettingError(
            "kubernetes_version is latest, which turns into another version by itself", hint=hint
        )
        return
    if versions.is_older(versions.minor(version), minor):
        yield SettingError(
            f"{the_cluster}, and the setting kubernetes_version is {version}: there is no way back", hint=hint
        )
        return
    if not is_asked_for(found, version):
        return
    good = supported(offered or (), release)
    if offered is not None and versions.newest(offered, version) is None:
        yield SettingError(
            f"{the_cluster}, from which DigitalOcean offers no upgrade to {version}",
            hint="minors come one after the other: set kubernetes_version to what it offers "
            f"({', '.join(good) or 'nothing newer now'}), or leave it at {minor}",
        )
    yield from unsupported_version(version, release, unsupported=unsupported, usable=[minor, *good])


def supported(offered: Sequence[str], release: Release | None) -> list[str]:
    """Return those of some versions that a release of Kubeflow runs on."""
    return [slug for slug in offered if release is None or versions.minor(slug) in release.kubernetes]


def upgrade(
    api: DigitalOcean,
    version: str,
    look: Callable[[], Cluster],
    live: Callable[[str], None],
    *,
    deadline: float,
    pause: float,
) -> str:
    """Have the cluster upgraded to the newest of a version that is offered, and return which it is."""
    found = look()
    slug = versions.newest(api.upgrades(found.id), version)
    if slug is None:
        raise SettingError(
            f"DigitalOcean offers no upgrade of the cluster {found.name} from {found.version} to {version}",
            hint="run this step again: it says what is offered",
        )
    api.upgrade(found.id, slug)
    start = time.monotonic()
    while (found := look()).version != slug or found.state != "running":
        elapsed = time.monotonic() - start
        how = f"{found.state}, Kubernetes {found.version}" + (f" ({found.message})" if found.message else "")
        if time.monotonic() > deadline:
            raise ApplyError(
                f"waited {elapsed:.0f} s for the upgrade of the cluster {found.name} to {slug}: {how}",
                hint="run this step again: it goes on waiting",
            )
        live(f"waiting {elapsed:.0f} s for the upgrade to {slug}: {how}")
        time.sleep(pause)
    return slug
