"""DigitalOcean's API: the account, its Kubernetes clusters, 1-click applications and domains."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tideflow.clients.billed import Billed
from tideflow.clients.domains import Domains
from tideflow.clients.pools import Pools
from tideflow.clients.provided import Account, Cluster, Credentials, Options, Size
from tideflow.clients.requesting import nothing
from tideflow.errors import DigitalOceanError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SCOPES = {"tags": ("tag:read", "tag:create"), "vpc_uuid": ("vpc:read",)}
"""What a token needs besides to send a field of a cluster (cluster.yml of the description)."""

_LOOKS_AFTER = (2.0, 5.0, 10.0)  # seconds; a new cluster may take a moment to be listed


class DigitalOcean(Billed, Domains, Pools):
    """The API, with one account's token; ``timeout`` is in seconds, for each answer.

    A request that fails is made again where that cannot do a thing twice, until two minutes after the first
    failure (``patience.LONGEST``). The first and the last time may each take the ``timeout`` besides, so that
    it all ends within three minutes or so. A method makes one request, or one for each page of a list;
    ``create_cluster`` makes three at most, with a list before and after each. Every method raises
    ``DigitalOceanError``, whose ``unsure`` says of a change that it may have been made.
    """

    def account(self) -> Account:
        """Return whose token it is."""
        return self._call(
            "GET", "account", lambda found: Account.from_response(found["account"]), ["account:read"]
        )

    def options(self) -> Options:
        """Return what clusters may be made of."""
        return self._call(
            "GET",
            "kubernetes/options",
            lambda found: Options.from_response(found["options"]),
            ["kubernetes:read"],
        )

    def sizes(self) -> list[Size]:
        """Return the sizes that droplets, nodes among them, may have."""
        return self._listed("sizes", "sizes", Size.from_response, "sizes:read")

    def droplets(self) -> int:
        """Return how many droplets the account has; the nodes of its clusters are droplets too."""
        return self._call(
            "GET", "droplets?per_page=1", lambda found: int(found["meta"]["total"]), ["droplet:read"]
        )

    def clusters(self) -> list[Cluster]:
        """Return all clusters of the account."""
        return self._listed(
            "kubernetes/clusters", "kubernetes_clusters", Cluster.from_response, "kubernetes:read"
        )

    def create_cluster(
        self,
        *,
        name: str,
        region: str,
        version: str,
        size: str,
        count: int,
        fields: Mapping[str, Any] | None = None,
        pool: Mapping[str, Any] | None = None,
    ) -> Cluster:
        """Have a cluster made, with one pool of ``count`` nodes of a ``size``; it takes minutes to run.

        ``fields`` are others of the API's fields for clusters, and ``pool`` of those for node pools.

        Clusters cost money, so when it is not known whether one was made, they are listed before another is
        asked for. One is taken for ours if it has the name, region and pool that were asked for, and was not
        in the list from before we asked: that says that it is new without comparing clocks. Somebody who
        asks for the very same at the same time cannot be told from us.
        """
        body = {
            "name": name,
            "region": region,
            "version": version,
            "ha": False,  # from 1.36 on the default is true, and costs extra
            **(fields or {}),
            "node_pools": [{"name": f"{name}-pool", "size": size, "count": count, **(pool or {})}],
        }
        scopes = ["kubernetes:create", *(scope for name in body for scope in _SCOPES.get(name, ()))]
        before = {found.id for found in self.clusters()}
        lost: list[DigitalOceanError] = []
        for pause in _LOOKS_AFTER:
            try:
                return self._call("POST", "kubernetes/clusters", _cluster, scopes, body)
            except DigitalOceanError as error:
                # A refusal is final, unless the name is taken by what a lost request has made after all.
                if not (error.unsure or lost):
                    raise
                lost.append(error)
            time.sleep(pause)
            try:
                found = self.clusters()
            except DigitalOceanError:
                break
            if (made := _made(body, [cluster for cluster in found if cluster.id not in before])) is not None:
                return made
            if not lost[-1].unsure:
                break
        hint = f"look for a cluster named {name} in the control panel, for one may be there; then run again"
        raise _with_hint(lost[-1], hint) from None

    def update_cluster(self, cluster_id: str, *, name: str, fields: Mapping[str, Any]) -> None:
        """Have some of the API's fields of a cluster become others; those not given stay as they are."""
        path = f"kubernetes/clusters/{cluster_id}"
        scopes = ["kubernetes:update", *(scope for field in fields for scope in _SCOPES.get(field, ()))]
        self._call("PUT", path, nothing, scopes, {"name": name, **fields})

    def delete_cluster(self, cluster_id: str) -> None:
        """Have a cluster deleted; volumes and load balancers it made stay, and are billed."""
        self._call("DELETE", f"kubernetes/clusters/{cluster_id}", nothing, ["kubernetes:delete"])

    def credentials(self, cluster_id: str, *, expiry_seconds: int) -> Credentials:
        """Return credentials of a cluster; each call makes new ones."""
        path = f"kubernetes/clusters/{cluster_id}/credentials?expiry_seconds={expiry_seconds}"
        return self._call("GET", path, Credentials.from_response, ["kubernetes:access_cluster"])

    def one_clicks(self) -> list[str]:
        """Return the slugs of the 1-click applications for clusters."""

        def slugs(found: Any) -> list[str]:
            return [offer["slug"] for offer in found["1_clicks"] if offer.get("type") == "kubernetes"]

        return self._call("GET", "1-clicks?type=kubernetes", slugs, [])

    def install_one_clicks(self, cluster_id: str, slugs: Sequence[str]) -> None:
        """Have 1-click applications installed; that it has begun is all that the API tells.

        Nor does it tell whether one has begun before, so a request that may have been carried out is an
        error, and not made again.
        """
        body = {"addon_slugs": list(slugs), "cluster_uuid": cluster_id}
        try:
            self._call("POST", "1-clicks/kubernetes", nothing, ["kubernetes:update", "addon:create"], body)
        except DigitalOceanError as error:
            if error.unsure:
                hint = f"it may have begun: see whether the cluster gets a namespace {' or '.join(slugs)}"
                raise _with_hint(error, f"{hint} within some minutes, and run this step again") from None
            raise


def _cluster(found: Any) -> Cluster:
    return Cluster.from_response(found["kubernetes_cluster"])


def _made(asked: Any, new: Sequence[Cluster]) -> Cluster | None:
    """Return which of the ``new`` clusters is the one that was asked for; None if none has its name."""
    named = [cluster for cluster in new if cluster.name == asked["name"]]
    if not named:
        return None
    first = named[0]
    pools = [(pool.name, pool.size, pool.count) for pool in first.node_pools]
    ours = [(pool["name"], pool["size"], pool["count"]) for pool in asked["node_pools"]]
    if len(named) == 1 and (first.region, pools) == (asked["region"], ours):
        return first
    raise DigitalOceanError(
        f"creating the cluster {first.name} was not answered, and what is new is not the one asked for: "
        + ", ".join(f"{cluster.id} in {cluster.region}" for cluster in named),
        hint="somebody else may have created them: keep the one that is needed, for each is billed",
    )


def _with_hint(error: DigitalOceanError, hint: str) -> DigitalOceanError:
    error.hint = hint
    return error
