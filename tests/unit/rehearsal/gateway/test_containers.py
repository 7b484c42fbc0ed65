"""What a pod's program is started with."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from tideflow.errors import KubernetesError
from tideflow.rehearsal.gateway.containers import UnstartableError, read

if TYPE_CHECKING:
    from tideflow.rehearsal.gateway.containers import Start

OBJECTS = {
    "configmaps/settings": {"data": {"LEVEL": "debug", "config.yaml": "a: b"}},
    "secrets/passwords": {"data": {"HASH": base64.b64encode(b"$2y$x").decode()}},
    "secrets/empty": {},
}


class Cluster:
    """Has those objects in the namespace ``auth``."""

    def get(self, path: str) -> Any:
        """Return one, or fail as a cluster does."""
        name = path.removeprefix("/api/v1/namespaces/auth/")
        if name not in OBJECTS:
            raise KubernetesError("not found", hint="", status=404)
        return OBJECTS[name]


def start(volumes: list[dict[str, Any]] | None = None, **container: Any) -> Start:
    """Return what a pod with such a container is started with."""
    containers = [{"name": "istio-proxy", "args": ["proxy"]}, {"name": "main", **container}]
    pod = {
        "metadata": {"name": "dex-1", "namespace": "auth"},
        "spec": {"containers": containers, "volumes": volumes or []},
    }
    return read(Cluster(), pod)  # type: ignore[arg-type]


def test_the_environment_is_put_together_as_a_kubelet_does() -> None:
    """Whole objects first, with a prefix; then single values, which win and may name others."""
    found = start(
        envFrom=[
            {"configMapRef": {"name": "settings"}, "prefix": "P_"},
            {"secretRef": {"name": "passwords"}},
            {"secretRef": {"name": "absent", "optional": True}},
        ],
        env=[
            {"name": "HASH2", "valueFrom": {"secretKeyRef": {"name": "passwords", "key": "HASH"}}},
            {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "LEVEL"}}},
            {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y", "optional": True}}},
            {"name": "SPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "BOTH", "value": "$(SPACE)/$(LEVEL) $$(SPACE) $(ABSENT)"},
        ],
        command=["dex"],
        args=["--level=$(LEVEL)"],
    )
    assert found.environment == {
        "P_LEVEL": "debug",
        "P_config.yaml": "a: b",
        "HASH": "$2y$x",
        "HASH2": "$2y$x",
        "LEVEL": "debug",
        "SPACE": "auth",
        "BOTH": "auth/debug $(SPACE) $(ABSENT)",
    }
    assert found.arguments == ("dex", "--level=debug")


def test_files_are_where_they_are_mounted() -> None:
    """Whole objects, some keys of one, a single file, and several in one folder."""
    found = start(
        volumes=[
            {"name": "whole", "configMap": {"name": "settings"}},
            {
                "name": "some",
                "configMap": {"name": "settings", "items": [{"key": "LEVEL", "path": "sub/level"}]},
            },
            {
                "name": "both",
                "projected": {
                    "sources": [{"secret": {"name": "passwords"}}, {"configMap": {"name": "settings"}}]
                },
            },
            {"name": "none", "emptyDir": {}},
            {"name": "optional", "secret": {"secretName": "absent", "optional": True}},
        ],
        volumeMounts=[
            {"name": "whole", "mountPath": "/etc/one/file.yaml", "subPath": "config.yaml"},
            {"name": "some", "mountPath": "/etc/some"},
            {"name": "both", "mountPath": "/etc/both/"},
            {"name": "none", "mountPath": "/var/x"},
            {"name": "optional", "mountPath": "/etc/optional"},
            {"name": "undeclared", "mountPath": "/etc/undeclared"},
        ],
    )
    assert found.files == {
        "/etc/one/file.yaml": "a: b",
        "/etc/some/sub/level": "debug",
        "/etc/both/HASH": "$2y$x",
        "/etc/both/LEVEL": "debug",
        "/etc/both/config.yaml": "a: b",
    }


@pytest.mark.parametrize(
    "container",
    [
        {"envFrom": [{"secretRef": {"name": "absent"}}]},
        {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "x"}}}]},
        {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "empty", "key": "x"}}}]},
    ],
)
def test_what_refers_to_nothing_does_not_start(container: dict[str, Any]) -> None:
    """A kubelet would say so and wait."""
    with pytest.raises(UnstartableError):
        start(**container)
