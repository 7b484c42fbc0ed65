"""A twin in which time passes as it is told to, and whose control planes are none."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.unit.rehearsal.twin.calling import CLUSTERS, create, listened_to

from tideflow.errors import KubernetesError
from tideflow.rehearsal import clusters, nodes
from tideflow.rehearsal.control_plane import ControlPlane
from tideflow.rehearsal.pace import Pace
from tideflow.rehearsal.standins import balancers
from tideflow.rehearsal.twin.lifecycle import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from tideflow.rehearsal.twin.cluster import Cluster
    from tideflow.rehearsal.twin.state import State


class Objects:
    """What a cluster has, by the paths of lists; ``away`` while it does not answer."""

    def __init__(self) -> None:
        self.lists: dict[str, list[Any]] = {}
        self.away = False

    def get(self, path: str, **_: Any) -> Any:
        """Return a list."""
        if self.away:
            raise KubernetesError("it is away")
        return {"items": self.lists.get(path, [])}


class World:
    """A twin whose control planes are none; time passes when told to. The cluster ``ml`` has objects."""

    def __init__(self, state: State, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = state
        self.lifecycle = Lifecycle(state, folder, Path("/nonexistent"), Pace(speed=1.0))
        self.api = listened_to(self.lifecycle, state)
        self.objects = Objects()
        self.there: set[str] = set()
        self.pods: dict[str, int] = {}
        self._passed = 0.0
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + self._passed)
        monkeypatch.setattr(clusters, "start", lambda *_, **__: None)
        monkeypatch.setattr(ControlPlane, "endpoint", "https://127.0.0.1:6443")
        monkeypatch.setattr(ControlPlane, "delete", lambda _: None)
        monkeypatch.setattr(Lifecycle, "client", lambda _, cluster: self._client(cluster))
        monkeypatch.setattr(nodes, "sync", self._sync)
        monkeypatch.setattr(balancers, "refuse", lambda *_: None)
        monkeypatch.setattr(nodes, "drain", lambda _, name: self.pods.get(name, 0))

    def _client(self, cluster: Cluster) -> Objects:
        return self.objects if cluster.name == "ml" else Objects()

    def _sync(self, _: Any, wanted: Sequence[nodes.Node]) -> None:
        self.there = {node.name for node in wanted}

    def later(self, seconds: float) -> None:
        """Let time pass, and have what is due done."""
        self._passed += seconds
        for _ in range(2):
            for cluster in self.state:
                self.lifecycle._advance(cluster)

    def switch(self, **faults: Any) -> None:
        """Have these faults."""
        assert self.api.put("/rehearsal/faults", json=faults).status_code == 200

    def running(self, **changed: Any) -> Any:
        """Return a cluster that has come to run."""
        made = create(self.api, **changed).json["kubernetes_cluster"]
        self.later(300)
        return self.cluster(made["id"])

    def cluster(self, cluster_id: str) -> Any:
        """Return a cluster as it is now."""
        return self.api.get(f"{CLUSTERS}/{cluster_id}").json["kubernetes_cluster"]
