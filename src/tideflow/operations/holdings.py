"""What of an account belongs to a cluster, and what it costs; decided by ids and tags, and never by names.

A cluster's own tag, ``k8s:<id>``, is on its droplets and volumes, and on the snapshots that its driver takes.
What has no such tag, as load balancers, is known by an id: the API tells those of a cluster that is there
(``destroy_with_associated_resources``), and of one that is gone they have to be remembered. A load balancer
that is only known by the nodes behind it may be a person's own, and is named but not touched.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from tideflow.errors import DigitalOceanError
from tideflow.operations import prices
from tideflow.operations.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from tideflow.clients.billed import Droplet, LoadBalancer, Snapshot, Volume
    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.clients.provided import Cluster

Kind = Literal["cluster", "droplet", "load balancer", "volume", "snapshot", "DNS record"]
KnownBy = Literal["tag", "id", "nodes"]

_UNTOLD = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}
_BY_HAND = {
    "cluster": "doctl kubernetes cluster delete {id} --dangerous",
    "droplet": "doctl compute droplet delete {id}",
    "load balancer": "doctl compute load-balancer delete {id}",
    "volume": "doctl compute volume delete {id}",
    "snapshot": "doctl compute snapshot delete {id}",
}


@dataclass(frozen=True)
class Holding:
    """One thing that is there, and its price a month, None if that is not known.

    ``remove`` deletes it, where that is not DigitalOcean's to do; once more is no error. One that is
    ``going`` is being deleted already. ``known_by`` is what tells that it belongs to a cluster.
    """

    kind: Kind
    id: str
    name: str
    details: str = ""
    price: float | None = 0.0
    remove: Callable[[], None] | None = field(default=None, compare=False, repr=False)
    going: bool = False
    known_by: KnownBy = "tag"

    def __str__(self) -> str:
        """Name it, with what it costs."""
        costs = "at a price that is not known" if self.price is None else f"{_dollars(self.price)} a month"
        told = ", ".join(filter(None, (self.details, "" if self.price == 0 else costs)))
        return f"{self.kind} {self.name}{f' ({told})' if told else ''}"

    @property
    def by_hand(self) -> str:
        """The command by which a person deletes it."""
        return _BY_HAND.get(self.kind, "delete it in the control panel").format(id=self.id)


def tag_of(cluster_id: str) -> str:
    """Return the tag that DigitalOcean gives to what belongs to a cluster."""
    return f"k8s:{cluster_id}"


def find(
    api: DigitalOcean,
    clusters: Collection[str],
    known: Collection[str],
    *,
    check: Callable[[Cluster], None] = lambda _: None,
) -> list[Holding]:
    """Return all that is there of ``clusters``, by their ids, and of the ``known`` ids of other things.

    ``check`` is given each of the clusters that is there, and may raise.
    """
    tags = {tag_of(cluster_id) for cluster_id in clusters}
    there = [cluster for cluster in api.clusters() if cluster.id in clusters and cluster.state != "deleted"]
    for cluster in there:
        check(cluster)
    known = {*known, *(thing for cluster in there for thing in _made(api, cluster))}
    droplets = [droplet for tag in sorted(tags) for droplet in api.droplets_of(tag)]
    volumes = [volume for volume in api.volumes() if volume.id in known or tags & {*volume.tags}]
    theirs = {volume.id for volume in volumes} | known
    nodes = {droplet.id for droplet in droplets}
    others = [
        *(
            balancer_held(api, found, known_by="id" if found.id in known else "nodes")
            for found in api.load_balancers()
            if found.id in known or nodes & {*found.droplets}
        ),
        *(replace(volume_held(api, found), known_by=_by(tags, found.tags)) for found in volumes),
        *(
            replace(snapshot_held(api, found), known_by=_by(tags, found.tags))
            for found in api.volume_snapshots()
            if found.id in known or found.volume in theirs or tags & {*found.tags}
        ),
    ]
    return [*map(cluster_held, there), *(droplet_held(api, found) for found in droplets), *others]


def _by(tags: set[str], found: Sequence[str]) -> KnownBy:
    return "tag" if tags & {*found} else "id"


def _made(api: DigitalOcean, cluster: Cluster) -> Sequence[str]:
    """Return the ids of what a cluster has made; of one that is going, the API may not tell any more."""
    try:
        made = api.associated(cluster.id)
    except DigitalOceanError as error:
        if error.status not in _UNTOLD:
            raise
        return ()
    return (*made.load_balancers, *made.volumes, *made.snapshots)


def unowned(api: DigitalOcean) -> Iterator[Holding]:
    """Yield volumes of clusters that are gone, and load balancers that lead nowhere, whoever made them."""
    living = api.clusters()
    tags = {tag_of(cluster.id) for cluster in living}
    for volume in api.volumes():
        theirs = {tag for tag in volume.tags if tag.startswith(tag_of(""))}
        if theirs and not theirs & tags:
            yield volume_held(api, volume)
    idle = [balancer for balancer in api.load_balancers() if balancer.idle]
    # A cluster that has no nodes for a moment has load balancers all the same.
    used = {thing for cluster in living for thing in _made(api, cluster)} if idle else set()
    for balancer in idle:
        if balancer.id not in used:
            yield balancer_held(api, balancer, known_by="id")


def total(held: Iterable[Holding]) -> str:
    """Return what some things cost together, for people; the nodes of a cluster are in its own price."""
    paid = list(held)
    if any(found.kind == "cluster" for found in paid):
        paid = [found for found in paid if found.kind != "droplet"]
    known = sum(found.price for found in paid if found.price is not None)
    unknown = any(found.price is None for found in paid)
    more = ", and what has no known price" if unknown else ""
    return f"about {_dollars(known)} a month{more} (an estimate, by DigitalOcean's prices of {prices.AS_OF})"


def numbers(held: Iterable[Holding]) -> str:
    """Return how many there are of each kind, such as ``1 cluster, 3 droplets``."""
    kinds = [found.kind for found in held]
    return ", ".join(counted(kinds.count(kind), kind) for kind in dict.fromkeys(kinds))


def cluster_held(found: Cluster) -> Holding:
    """Return a cluster; its price is that of its nodes, and of a control plane that is paid for."""
    sizes = [(pool.size, len(pool.nodes) or pool.count) for pool in found.node_pools]
    known = [number * prices.NODES[size] for size, number in sizes if size in prices.NODES]
    price = sum(known) + (prices.HIGH_AVAILABILITY if found.ha else 0.0)
    nodes = " and ".join(f"{counted(number, 'node')} of {size}" for size, number in sizes)
    details = f"{found.id}, {found.state}, {nodes}"
    return Holding(
        kind="cluster",
        id=found.id,
        name=found.name,
        details=details,
        price=price if len(known) == len(sizes) else None,
        going=found.state == "deleting",
    )


def droplet_held(api: DigitalOcean, found: Droplet) -> Holding:
    """Return a node's droplet; DigitalOcean deletes it with its cluster, as a rule."""
    price = prices.NODES.get(found.size)
    return Holding(
        "droplet", found.id, found.name, found.size, price, _deleting(api.delete_droplet, found.id)
    )


def balancer_held(api: DigitalOcean, found: LoadBalancer, *, known_by: KnownBy) -> Holding:
    """Return a load balancer."""
    of_others = "perhaps your own, with its nodes behind it" if known_by == "nodes" else ""
    details = (found.ip, of_others, "no droplets" if found.idle else "")
    return Holding(
        kind="load balancer",
        id=found.id,
        name=found.name,
        details=", ".join(filter(None, details)),
        price=found.units * prices.LOAD_BALANCER,
        remove=_deleting(api.delete_load_balancer, found.id),
        known_by=known_by,
    )


def volume_held(api: DigitalOcean, found: Volume) -> Holding:
    """Return a volume."""
    price = found.gib * prices.VOLUME_GIB
    return Holding(
        "volume", found.id, found.name, f"{found.gib} GiB", price, _deleting(api.delete_volume, found.id)
    )


def snapshot_held(api: DigitalOcean, found: Snapshot) -> Holding:
    """Return a snapshot of a volume."""
    price = found.gib * prices.SNAPSHOT_GIB
    remove = _deleting(api.delete_volume_snapshot, found.id)
    return Holding("snapshot", found.id, found.name, f"{found.gib:g} GiB", price, remove)


def _deleting(delete: Callable[[str], None], thing: str) -> Callable[[], None]:
    return lambda: delete(thing)


def _dollars(price: float) -> str:
    return f"${price:.2f}".removesuffix(".00")
