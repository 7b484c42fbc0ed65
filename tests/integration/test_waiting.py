"""Waiting for one thing in a cluster, on a real API server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.engine.objects import config_map, namespace

from tideflow.clients.waiting import wait_for
from tideflow.errors import ApplyError

if TYPE_CHECKING:
    from tideflow.clients.kubernetes import Kubernetes


def test_what_is_there_and_what_comes_later_is_seen_whole(cluster: Kubernetes, space: str) -> None:
    """An item of a list says no kind; whoever looks at it is told all the same."""
    cluster.post("/api/v1/namespaces", namespace(space))
    path = f"/api/v1/namespaces/{space}/configmaps"

    def kind_of(name: str) -> str:
        def wanted(found: Any) -> str | None:
            return str(found["kind"]) if found["metadata"]["name"] == name else None

        return wait_for(cluster, path, wanted, what=name, timeout=30, progress=lambda _: None)

    cluster.post(path, config_map("first", space))
    assert kind_of("first") == "ConfigMap"
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(kind_of, "second")
        cluster.post(path, config_map("second", space))
        assert second.result() == "ConfigMap"


def test_what_never_comes_ends_with_its_name(cluster: Kubernetes) -> None:
    """And with where to look."""
    with pytest.raises(ApplyError, match="for a sign; look at its events"):
        wait_for(
            cluster,
            "/api/v1/namespaces/default/configmaps",
            lambda _: None,
            what="a sign",
            timeout=0.1,
            progress=lambda _: None,
        )
