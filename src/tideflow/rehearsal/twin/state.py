"""What the twin knows, kept in a file so that it survives a restart."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tideflow.errors import RehearsalError
from tideflow.files import write_private
from tideflow.rehearsal.twin.cluster import Cluster
from tideflow.rehearsal.twin.resources import Balancer, Snapshot, Volume
from tideflow.rehearsal.twin.zones import Domain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path


class State:
    """All clusters, and what they made, by ids, and domains. To be changed with the ``lock`` held, and saved.

    What a cluster made outlives it, unless it is deleted by name, and goes on being billed.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.RLock()
        self.clusters: dict[str, Cluster] = {}
        self.balancers: dict[str, Balancer] = {}
        self.volumes: dict[str, Volume] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.domains: dict[str, Domain] = {}
        try:
            saved = json.loads(file.read_text(encoding="utf-8"))
            self._load(saved)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RehearsalError(
                f"what the twin knew cannot be read from {file} ({type(error).__name__})",
                hint=f"remove {file.parent} to begin anew, without the clusters in it",
            ) from error

    def _load(self, saved: dict[str, Any]) -> None:
        self.clusters = {found["id"]: Cluster.from_saved(found) for found in saved["clusters"]}
        # A twin of before these were known saved none.
        self.balancers = {found["id"]: Balancer(**found) for found in saved.get("balancers", ())}
        self.volumes = {found["id"]: Volume(**found) for found in saved.get("volumes", ())}
        self.snapshots = {found["id"]: Snapshot(**found) for found in saved.get("snapshots", ())}
        self.domains = {found["name"]: Domain.from_saved(found) for found in saved.get("domains", ())}

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """The lock under which all of it is read and changed."""
        return self._lock

    def save(self) -> None:
        """Write all of it."""
        saved = {
            "clusters": list(map(asdict, self.clusters.values())),
            "balancers": list(map(asdict, self.balancers.values())),
            "volumes": list(map(asdict, self.volumes.values())),
            "snapshots": list(map(asdict, self.snapshots.values())),
            "domains": list(map(asdict, self.domains.values())),
        }
        write_private(self._file, json.dumps(saved))

    def __iter__(self) -> Iterator[Cluster]:
        """Iterate over the clusters, as they are now."""
        with self._lock:
            return iter(list(self.clusters.values()))

    def has_made(self, cluster: Cluster, balancers: Sequence[Balancer], volumes: Sequence[Volume]) -> None:
        """Know what a cluster has made by now; what it had made and no longer has is gone.

        Volumes that it is to retain are not, nor does anything come back that was deleted here.
        """
        known = {balancer.id for balancer in balancers} | {volume.id for volume in volumes}
        for found in self._of(cluster):
            if found.id in known:
                continue
            if isinstance(found, Volume) and found.retained:
                found.droplet_ids = []
            else:
                self.forget(found.id)
        self.balancers |= {found.id: found for found in balancers if found.id not in cluster.deleted}
        self.volumes |= {found.id: found for found in volumes if found.id not in cluster.deleted}

    def delete(self, thing: Balancer | Volume) -> None:
        """Have something no more, though its cluster still says that it made it."""
        self.forget(thing.id)
        if thing.cluster_id in self.clusters:
            self.clusters[thing.cluster_id].deleted.append(thing.id)

    def forget(self, thing_id: str) -> None:
        """Have a load balancer, volume or snapshot no more."""
        for things in (self.balancers, self.volumes, self.snapshots):
            things.pop(thing_id, None)

    def remove(self, cluster: Cluster) -> None:
        """Have a cluster no more, nor what is to go with it; the rest of what it made stays."""
        self.clusters.pop(cluster.id, None)
        for found in self._of(cluster):
            found.droplet_ids = []
        for doomed in cluster.doomed:
            self.forget(doomed)

    def _of(self, cluster: Cluster) -> list[Balancer | Volume]:
        """Return what a cluster made that nodes use."""
        made: list[Balancer | Volume] = [*self.balancers.values(), *self.volumes.values()]
        return [found for found in made if found.cluster_id == cluster.id]
