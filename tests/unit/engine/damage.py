"""One valid object of each kind that has rules, with all that is read of it, and ways of damaging one."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from tests.unit.engine.objects import (
    config_map,
    custom,
    definition,
    namespace,
    service,
    webhook,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

DROPPED = object()
"""Stands for a value that is taken away."""

OTHERS: tuple[Any, ...] = (
    DROPPED,
    None,
    "text",
    "",
    7,
    0,
    True,
    [],
    ["text"],
    [7],
    [None],
    [{}],
    {},
    {"x": {}},
)
"""What may stand where something else belongs."""

Path = tuple[str | int, ...]

_RBAC = "rbac.authorization.k8s.io"
_SELECTOR = {
    "matchLabels": {"app": "x"},
    "matchExpressions": [{"key": "app", "operator": "In", "values": ["x", "y"]}],
}


def _metadata(name: str, space: str) -> dict[str, Any]:
    return {
        "name": name,
        **({"namespace": space} if space else {}),
        "labels": {"app": "x"},
        "annotations": {"example.org/note": "x"},
    }


def _named(api_version: str, kind: str, name: str, space: str, **more: Any) -> dict[str, Any]:
    metadata = _metadata(name, space)
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def _pod() -> dict[str, Any]:
    sources = [{"configMap": {"name": "c"}}, {"secret": {"name": "s"}}]
    return {
        "metadata": {"labels": {"app": "x"}, "annotations": {"example.org/note": "x"}},
        "spec": {
            "serviceAccountName": "me",
            "serviceAccount": "me",
            "priorityClassName": "system-node-critical",
            "restartPolicy": "Always",
            "imagePullSecrets": [{"name": "s"}],
            "volumes": [
                {"name": "a", "configMap": {"name": "c"}},
                {"name": "b", "secret": {"secretName": "s"}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "p"}},
                {"name": "d", "projected": {"sources": sources}},
            ],
            "initContainers": [{"name": "first", "image": "x"}],
            "containers": [
                {
                    "name": "main",
                    "image": "x",
                    "envFrom": [{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}],
                    "env": [
                        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
                        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                        {"name": "C", "value": "x"},
                    ],
                    "resources": {"requests": {"cpu": "1m"}, "limits": {"cpu": "1"}},
                }
            ],
        },
    }


def _workload(kind: str, name: str, space: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"selector": copy.deepcopy(_SELECTOR), "template": _pod()}
    if kind in {"Deployment", "ReplicaSet", "StatefulSet"}:
        spec["replicas"] = 0
    return _named("apps/v1", kind, name, space, spec=spec)


def _job(name: str, space: str) -> dict[str, Any]:
    pod = _pod()
    pod["spec"]["restartPolicy"] = "Never"
    return _named("batch/v1", "Job", name, space, spec={"template": pod})


def _configuration(kind: str, name: str, space: str) -> dict[str, Any]:
    body = webhook(name, "s", resources=["nothing"], groups=["example.org"], space=space)
    body["kind"] = kind
    body["metadata"] = _metadata(name, "")
    body["webhooks"][0] |= {"failurePolicy": "Fail", "namespaceSelector": copy.deepcopy(_SELECTOR)}
    body["webhooks"][0] |= {"objectSelector": copy.deepcopy(_SELECTOR)}
    body["webhooks"][0]["rules"][0]["scope"] = "*"
    return body


def _definition(space: str) -> dict[str, Any]:
    body = definition("Damaged")
    body["spec"]["conversion"] = {
        "strategy": "Webhook",
        "webhook": {
            "conversionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": "s", "namespace": space}},
        },
    }
    return body


def valid(space: str) -> list[dict[str, Any]]:
    """Return objects that an API server takes, in a namespace of this name; the first is that."""
    role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "r"}
    subjects = [
        {"kind": "ServiceAccount", "name": "me", "namespace": space},
        {"apiGroup": _RBAC, "kind": "User", "name": "someone"},
    ]
    job = _job("j", space)
    schedule = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": job["spec"]}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    served = {"name": "s", "namespace": space}
    api = {"group": "damaged.example.com", "version": "v1", "service": served, "versionPriority": 1}
    client = {"insecureSkipTLSVerify": True, "groupPriorityMinimum": 1}
    counted = {"replicas": 0, "selector": {"app": "x"}, "template": _pod()}
    front = service("s", space)
    front["spec"]["type"] = "ClusterIP"
    secret = _named("v1", "Secret", "s", space, data={"k": "eA=="})
    pod = _pod()
    return [
        namespace(space, app="x"),
        config_map("c", space, k="x"),
        secret,
        _named("v1", "ServiceAccount", "me", space),
        front,
        {**_named("v1", "Pod", "p", space), "spec": pod["spec"]},
        _named("v1", "ReplicationController", "r", space, spec=counted),
        *(_workload(kind, kind.lower(), space) for kind in ("DaemonSet", "ReplicaSet", "StatefulSet")),
        _workload("Deployment", "d", space),
        job,
        _named("batch/v1", "CronJob", "j", space, spec=schedule),
        _named(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "d",
            space,
            spec={
                "maxReplicas": 2,
                "scaleTargetRef": target,
                "metrics": [{"type": "Resource", "resource": metric}],
            },
        ),
        _named(
            f"{_RBAC}/v1",
            "ClusterRole",
            f"{space}-r",
            "",
            aggregationRule={"clusterRoleSelectors": [_SELECTOR]},
        ),
        _named(f"{_RBAC}/v1", "ClusterRoleBinding", f"{space}-b", "", roleRef=role, subjects=subjects),
        _named(f"{_RBAC}/v1", "RoleBinding", "b", space, roleRef=role, subjects=subjects),
        _named("apiregistration.k8s.io/v1", "APIService", "v1.damaged.example.com", "", spec=api | client),
        _configuration("MutatingWebhookConfiguration", f"{space}-m", space),
        _configuration("ValidatingWebhookConfiguration", f"{space}-v", space),
        _definition(space),
        custom("Damaged", "t", space),
    ]


def others_kinds(space: str) -> list[dict[str, Any]]:
    """Return custom resources, with their definitions, that are named like kinds with rules."""
    kinds = sorted({body["kind"] for body in valid(space)[1:-1]})
    return [
        found
        for kind in kinds
        for found in (
            definition(kind, "others.example.org"),
            {**custom(kind, "x", space, "others.example.org"), "webhooks": [1], "data": 0, "rules": {}},
        )
    ]


def paths(value: Any, before: Path = ()) -> Iterator[Path]:
    """Yield where all values of an object are."""
    if before:
        yield before
    if isinstance(value, dict | list):
        for step, inside in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(inside, (*before, step))


def damaged(body: dict[str, Any], path: Path, other: Any) -> dict[str, Any]:
    """Return a copy of the object with another value, or none, at the path."""
    copied = copy.deepcopy(body)
    holder: Any = copied
    for step in path[:-1]:
        holder = holder[step]
    if other is DROPPED:
        del holder[path[-1]]
    else:
        holder[path[-1]] = copy.deepcopy(other)
    return copied
