"""What is read off the world: who is served, and who runs."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.rehearsal.standins.worlds import world


def endpoints(service: str, space: str, ready: list[bool | None]) -> dict[str, Any]:
    """Return the EndpointSlice of a Service, with one address for each endpoint."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-1",
            "namespace": space,
            "labels": {"kubernetes.io/service-name": service},
        },
        "endpoints": [
            {"addresses": [f"10.0.0.{number}"], "conditions": {"ready": found}}
            for number, found in enumerate(ready)
        ],
    }


def test_only_ready_endpoints_of_the_service_count() -> None:
    """Unknown counts as ready, as the API says; others' do not count, and no endpoints are none."""
    where = world(
        endpoints("a", "x", [True, False, None]),
        endpoints("b", "x", [True]),
        endpoints("a", "y", [True]),
        {**endpoints("c", "x", []), "endpoints": None},
    )
    assert list(where.endpoints("x", "a")) == ["10.0.0.0", "10.0.0.2"]
    assert list(where.endpoints("x", "c")) == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [(None, False), ({}, False), ({"availableReplicas": 0}, False), ({"availableReplicas": 1}, True)],
)
def test_a_deployment_runs_with_an_available_pod(status: dict[str, int] | None, *, expected: bool) -> None:
    """One that is not there does not run."""
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "x"},
        "status": status,
    }
    assert world(body).runs("x", "d") is expected
    assert not world(body).runs("y", "d")
