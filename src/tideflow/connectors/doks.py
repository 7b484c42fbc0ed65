"""``@doks/<name>``: a cluster that DigitalOcean runs, and bills."""

from __future__ import annotations

import functools
import os
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tideflow.connectors import access
from tideflow.connectors.platform import PlatformConnector, given
from tideflow.connectors.settings import TAG, TOKEN, check_cluster_name
from tideflow.errors import DigitalOceanError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.clients.provided import Cluster


class DoksConnector(PlatformConnector):
    """Reaches the cluster through DigitalOcean's API, with the token in ``DIGITALOCEAN_ACCESS_TOKEN``."""

    _client: DigitalOcean | None = None
    _cluster: Cluster | None = None
    _id: str = ""

    @override
    @staticmethod
    def make_names_data(name: str | None = None) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        """Yield the platform; ``group_data/<name>.py`` may hold its own settings."""
        named = given(name, "@doks/<name>")
        yield f"@doks/{named}", {}, ["doks", named]

    @override
    def check(self) -> None:
        check_cluster_name(self.platform)
        if not Path("inventory.py").exists():
            # What a platform has beside its cluster is kept here, and would not be found again elsewhere.
            raise SettingError("there is no inventory.py in this folder", hint="run this in the project's")
        _ = self.settings  # a wrong one is refused before a token is used

    @override
    def prepare(self) -> None:
        token = os.environ.get(TOKEN, "").strip()
        if not token:
            raise SettingError(
                f"{TOKEN} is not set", hint="make a token in the control panel under API, and export it"
            )
        self._use(token)

    def _use(self, token: str, endpoint: str | None = None, *, haste: float = 1.0) -> None:
        """Open the API with a token, and find out whether it is any good."""
        from tideflow.clients.digitalocean import DigitalOcean  # noqa: PLC0415 - requests is slow to import
        from tideflow.clients.requesting import LOOKS_AFTER  # noqa: PLC0415 - the same

        looks = [pause / haste for pause in LOOKS_AFTER]
        self._client = DigitalOcean(token, endpoint=endpoint, looks_after=looks)
        self.cluster()

    @property
    @override
    def digitalocean(self) -> DigitalOcean | None:
        return self._client

    @override
    def cluster(self) -> Cluster | None:
        if self._cluster is None and self._client is not None:
            self._cluster = self._look(self._client)
            if self._cluster is not None:
                self._id = self._cluster.id
        return self._cluster

    @override
    def know(self, cluster: Cluster) -> None:
        self._id, self._cluster = cluster.id, None

    def _look(self, client: DigitalOcean) -> Cluster | None:
        """Look by the id, once it is known: lists may be behind, and what is by its id is not."""
        if self._id:
            try:
                found = client.cluster(self._id)
            except DigitalOceanError as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return None
                raise
            return None if found.state == "deleted" else found
        named = [
            cluster
            for cluster in client.clusters()
            if cluster.name == self.platform and cluster.state != "deleted"
        ]
        if len(named) > 1:
            raise DigitalOceanError(
                f"{len(named)} clusters of the account are named {self.platform}",
                hint="rename or delete all but one of them",
            )
        return named[0] if named else None

    @override
    def _open(self) -> Kubernetes | None:
        cluster = self.cluster()
        if self._client is None or cluster is None or not cluster.serves:
            return None
        if not (cluster.has(TAG) or self.settings.adopt_cluster):
            raise SettingError(
                f"the cluster {self.platform} was not made by Tideflow: it has no tag {TAG}",
                hint="deploys/cluster.py says what differs from the settings, and how to take it over",
            )
        if cluster.state != "running":
            why = f": {cluster.message}" if cluster.message else ""
            self.host.log_styled(f"the cluster {self.platform} is {cluster.state}{why}", fg="yellow")
        own = self.folder / "access"
        renew = functools.partial(self._write, own, self._client, cluster, self.settings.access_seconds)
        if not access.holds(own, cluster):
            renew()
        if not access.holds(self.kubeconfig, cluster):
            self._write(self.kubeconfig, self._client, cluster, self.settings.kubeconfig_seconds)
        return self._client_of(own, renew=renew)

    @staticmethod
    def _write(path: Path, client: DigitalOcean, cluster: Cluster, seconds: int) -> None:
        credentials = client.credentials(cluster.id, expiry_seconds=seconds)
        access.write(path, cluster=cluster, credentials=credentials)

    @override
    def forget(self) -> None:
        self._cluster = None
