"""Whether DigitalOcean offers what a cluster is to be made of, and the account may have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tideflow.errors import SettingError
from tideflow.operations import prices, versions
from tideflow.operations.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tideflow.clients.provided import Account, Options, Size
    from tideflow.operations.clusters import Wanted
    from tideflow.vendoring.pins import Release


@dataclass(frozen=True, kw_only=True)
class Offers:
    """What the account may have; None and nothing stand for what its token may not know."""

    options: Options
    sizes: Mapping[str, Size]
    account: Account | None
    droplets: int

    @property
    def versions(self) -> list[str]:
        """The slugs of Kubernetes' versions."""
        return [offer.slug for offer in self.options.versions]

    def size(self, slug: str) -> Size | None:
        """Return a size, if it is known how large it is."""
        return self.sizes.get(slug) or prices.SIZES.get(slug)

    def nodes(self, region: str) -> list[Size]:
        """Return the sizes, of those that are known, that nodes in a region may have; all, if it is none."""
        known = filter(None, (self.size(offer.slug) for offer in self.options.sizes))
        anywhere = region not in (offer.slug for offer in self.options.regions)
        return [size for size in known if anywhere or size.slug not in self.sizes or region in size.regions]

    def problems(
        self, wanted: Wanted, release: Release | None, *, unsupported: bool
    ) -> Iterator[SettingError]:
        """Yield what keeps a new cluster from being made, each with what to do about it.

        ``release`` is what is to run on it; ``unsupported`` allows versions that it does not list.
        """
        yield from self._account()
        yield from self._version(wanted.version, release, unsupported=unsupported)
        regions = [offer.slug for offer in self.options.regions]
        if wanted.region not in regions:
            yield _not_offered("region", wanted.region, regions)
        yield from self.has_nodes(wanted.size, wanted.region)
        yield from self.room(wanted.most_nodes)

    def has_nodes(self, slug: str, region: str) -> Iterator[SettingError]:
        """Yield the problem if nodes of a size are not offered, or not in a region that is."""
        regions = [offer.slug for offer in self.options.regions]
        slugs = [offer.slug for offer in self.options.sizes]
        size = self.sizes.get(slug)
        if slug not in slugs:
            yield _not_offered("node_size", slug, slugs)
        elif region in regions and size is not None and region not in size.regions:
            here = [other for other in slugs if other in self.sizes and region in self.sizes[other].regions]
            yield SettingError(
                f"the region {region} has no {slug}",
                hint=f"set node_size to what it has ({', '.join(sorted(here)) or 'nothing now'}), or region "
                f"to one that has it ({', '.join(sorted(size.regions)) or 'none now'})",
            )

    def room(self, nodes: int) -> Iterator[SettingError]:
        """Yield the problem if the account may not have so many more nodes."""
        limit = self.account.droplet_limit if self.account else 0
        if limit and nodes > 0 and self.droplets + nodes > limit:
            yield SettingError(
                f"the account may have {counted(limit, 'droplet')} and has {self.droplets}: "
                f"{nodes} more for nodes are too many",
                hint="ask DigitalOcean for a higher limit in the control panel, or delete droplets",
            )

    def _account(self) -> Iterator[SettingError]:
        if self.account and self.account.status == "locked":
            yield SettingError(
                f"the account {self.account.email} is locked",
                hint="sign in at DigitalOcean's control panel, which says why",
            )

    def _version(self, asked: str, release: Release | None, *, unsupported: bool) -> Iterator[SettingError]:
        offered = versions.minors(self.versions)
        supported = release.kubernetes if release else offered
        usable = [minor for minor in offered if minor in supported or unsupported]
        hint = f"set kubernetes_version to {' or '.join(usable) or 'nothing: DigitalOcean has none of these'}"
        if asked == versions.LATEST:
            yield SettingError(
                "kubernetes_version is latest, which turns into another version from one day to the next, "
                f"supported by {_called(release)} or not",
                hint=hint,
            )
            return
        if versions.newest(self.versions, asked) is None:
            yield SettingError(
                f"DigitalOcean offers no kubernetes_version {asked!r}, only {', '.join(offered)}", hint=hint
            )
        yield from unsupported_version(asked, release, unsupported=unsupported, usable=usable)


def unsupported_version(
    version: str, release: Release | None, *, unsupported: bool, usable: Iterable[str]
) -> Iterator[SettingError]:
    """Yield the problem if a release does not list the minor of a version of Kubernetes."""
    if release and not unsupported and versions.minor(version) not in release.kubernetes:
        yield SettingError(
            f"{_called(release)} does not run on Kubernetes {version}: it supports "
            f"{', '.join(release.kubernetes)}",
            hint=f"set kubernetes_version to {' or '.join(usable) or 'one of these'}, or try it with "
            "unsupported_kubernetes set to true",
        )


def _called(release: Release | None) -> str:
    return f"Kubeflow {release.name}" if release else "Kubeflow"


def _not_offered(setting: str, value: str, offered: Sequence[str]) -> SettingError:
    return SettingError(
        f"DigitalOcean offers no {setting} {value!r}", hint="it offers: " + ", ".join(sorted(offered))
    )
