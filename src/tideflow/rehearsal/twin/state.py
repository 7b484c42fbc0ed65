"""What the twin knows, kept in a file so that it survives a restart."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tideflow.errors import RehearsalError
from tideflow.files import write_private
from tideflow.rehearsal.twin.cluster import Cluster
from tideflow.rehearsal.twin.resources import Balancer, Droplet, Snapshot, Volume
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
        self.droplets: dict[int, Droplet] = {}  # that have outlived their clusters
        self.balancers: dict[str, Balancer] = {}
        self.volumes: dict[str, Volume] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.domains: dict[str, Domain] = {}
        self.tags: list[str] = []
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
        self.droplets = {found["id"]: Droplet(**found) for found in saved.get("droplets", ())}
        self.balancers = {found["id"]: Balancer(**found) for found in saved.get("balancers", ())}
        self.volumes = {found["id"]: Volume(**found) for found in saved.get("volumes", ())}
        self.snapshots = {found["id"]: Snapshot(**found) for found in saved.get("snapshots", ())}
        self.tags = list(saved.get("tags", ()))
        self.domains = {found["name"]: Domain.from_saved(found) for found in saved.get("domains", ())}

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """The lock under which all of it is read and changed."""
        return self._lock

    def save(self) -> None:
        """Write all of it."""
        saved = {
            "clusters": list(map(asdict, self.clusters.values())),
            "droplets": list(map(asdict, self.droplets.values())),
            "balancers": list(map(asdict, self.balancers.values())),
            "volumes": list(map(asdict, self.volumes.values())),
            "snapshots": list(map(asdict, self.snapshots.values())),
            "tags": self.tags,
            "domains": list(map(asdict, self.domains.values())),
        }
        write_private(self._file, json.dumps(saved))

    def spelt(self, tags: Sequence[str]) -> list[str]:
        """Return tags, each as it was spelt when the account first had it."""
        known = [*self.tags, *(tag for cluster in self.clusters.values() for tag in cluster.tags)]
        first = {tag.casefold(): tag for tag in reversed([*known, *tags])}
        return [first[tag.casefold()] for tag in tags]

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

    def delete(self, thing: Balancer | Volume, *, delay: float = 0.0) -> None:
        """Have something no more, though its cluster still says that it made it."""
        self._leave(thing.id, delay)
        if thing.cluster_id in self.clusters:
            self.clusters[thing.cluster_id].deleted.append(thing.id)

    def forget(self, thing_id: str) -> None:
        """Have a load balancer, volume or snapshot no more."""
        for things in (self.balancers, self.volumes, self.snapshots):
            things.pop(thing_id, None)

    def purge(self) -> None:
        """Have the load balancers no more whose delay is over."""
        with self._lock:
            for found in [*self.balancers.values()]:
                if found.leaves_at and found.leaves_at <= time.time():
                    self.forget(found.id)

    def _leave(self, thing_id: str, delay: float) -> None:
        """Have a thing no more; a load balancer is there until the ``delay`` is over, in seconds."""
        balancer = self.balancers.get(thing_id)
        if balancer is None or not delay:
            self.forget(thing_id)
        elif not balancer.leaves_at:
            balancer.leaves_at = time.time() + delay

    def remove(self, cluster: Cluster, *, delay: float = 0.0) -> None:
        """Have a cluster no more, nor what is to go with it; the rest of what it made stays."""
        self.clusters.pop(cluster.id, None)
        for found in self._of(cluster):
            found.droplet_ids = []
        for doomed in cluster.doomed:
            self._leave(doomed, delay)

    def _of(self, cluster: Cluster) -> list[Balancer | Volume]:
        """Return what a cluster made that nodes use."""
        made: list[Balancer | Volume] = [*self.balancers.values(), *self.volumes.values()]
        return [found for found in made if found.cluster_id == cluster.id]
