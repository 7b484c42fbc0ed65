"""The least that an object of some kinds must have for others to be understood by it.

The API server checks the rest, and better. What is looked at while planning must be there beforehand, and of
the right type. Nothing is refused here that the API server would take as a new object.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from tideflow.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.engine.manifests import Manifest

# A type; or a list of the shape of its items, with None where these may be null; or shapes by field, where *
# are all fields, and one with ! has to be there and to say something. A field that is null is as good as
# none, and what is not mentioned is not looked at.
_Shape: TypeAlias = Union[type, "list[_Shape]", "dict[str, _Shape]", None]

_NUMBER = int
_TEXTS: _Shape = {"*": str}
_LIST: _Shape = [str, None]
_NAMED: _Shape = {"name": str}
_METADATA: _Shape = {"annotations": _TEXTS, "labels": _TEXTS, "namespace": str}
_EVERY: _Shape = {"metadata": _METADATA}
_SELECTOR: _Shape = {
    "matchLabels": _TEXTS,
    "matchExpressions": [{"key!": str, "operator!": str, "values": _LIST}],
}
_SOURCES: dict[str, _Shape] = {"configMap": _NAMED, "secret": {"name": str, "secretName": str}}
_CONTAINERS: _Shape = [
    {
        "env": [{"valueFrom": {"configMapKeyRef": _NAMED, "secretKeyRef": _NAMED}}],
        "envFrom": [{"configMapRef": _NAMED, "secretRef": _NAMED}],
        "resources": {"limits": dict, "requests": dict},
    }
]
_POD: dict[str, _Shape] = {
    "metadata": _METADATA,
    "spec!": {
        "containers!": _CONTAINERS,
        "imagePullSecrets": [_NAMED],
        "initContainers": _CONTAINERS,
        "priorityClassName": str,
        "serviceAccount": str,
        "serviceAccountName": str,
        "volumes": [
            {
                **_SOURCES,
                "persistentVolumeClaim": {"claimName": str},
                "projected": {"sources": [_SOURCES, None]},
            }
        ],
    },
}
_WORKLOAD: _Shape = {"spec!": {"replicas": _NUMBER, "selector": _SELECTOR, "template!": _POD}}
_CLIENT: _Shape = {"service": {"name!": str, "namespace!": str}}
_WEBHOOKS: _Shape = {
    "webhooks": [
        {
            "name!": str,
            "clientConfig": _CLIENT,
            "namespaceSelector": _SELECTOR,
            "objectSelector": _SELECTOR,
            "rules": [{"apiGroups": _LIST, "operations": _LIST, "resources": _LIST}],
        }
    ]
}
_BINDING: _Shape = {
    "roleRef!": {"kind!": str, "name!": str},
    "subjects": [{"name!": str, "namespace": str}],
}
_SHAPES: dict[tuple[str, str], _Shape] = {
    ("", "ConfigMap"): {"data": dict},
    ("", "Pod"): _POD,
    ("", "ReplicationController"): {
        "spec!": {"replicas": _NUMBER, "selector": _TEXTS, "template!": _POD},
    },
    ("", "Secret"): {"data": dict},
    ("", "Service"): {"spec!": {"selector": _TEXTS}},
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): _WEBHOOKS,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): _WEBHOOKS,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): {
        "spec!": {
            "conversion": {"webhook": {"clientConfig": _CLIENT}},
            "group!": str,
            "names!": {"kind!": str, "plural!": str},
            "versions!": [{"name!": str}],
        },
    },
    ("apiregistration.k8s.io", "APIService"): {"spec": _CLIENT},
    ("apps", "DaemonSet"): _WORKLOAD,
    ("apps", "Deployment"): _WORKLOAD,
    ("apps", "ReplicaSet"): _WORKLOAD,
    ("apps", "StatefulSet"): _WORKLOAD,
    ("autoscaling", "HorizontalPodAutoscaler"): {
        "spec!": {"scaleTargetRef!": {"apiVersion": str, "kind!": str, "name!": str}}
    },
    ("batch", "CronJob"): {"spec!": {"jobTemplate!": _WORKLOAD}},
    ("batch", "Job"): _WORKLOAD,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _BINDING,
    ("rbac.authorization.k8s.io", "RoleBinding"): _BINDING,
}
_ITEM = re.compile(r"\[\d+\]")
_NAMES: dict[type, str] = {
    type(None): "nothing",
    bool: "true or false",
    dict: "a mapping",
    float: "a number",
    int: "a number",
    list: "a list",
    str: "a text",
}


def check(manifest: Manifest) -> None:
    """Raise ``ManifestError``, naming object, file and field, for what no such object can be."""
    key = manifest.key
    for shape in (_EVERY, _SHAPES.get(key.type, {})):
        for place, problem in _misfits(manifest.body, shape, ""):
            raise ManifestError(
                f"{key} in {manifest.origin} {problem}",
                hint=f"see kubectl explain {key.kind.lower()}.{_ITEM.sub('', place)}",
            )


def named(value: Any) -> str:
    """Return what a value of JSON is, such as ``a text``."""
    return _NAMES[type(value)]


def _misfits(value: Any, shape: _Shape, place: str) -> Iterator[tuple[str, str]]:
    """Yield where a value has not the shape it should have, and what is amiss there."""
    wanted = shape if isinstance(shape, type) else type(shape)
    if not _is_a(value, wanted):
        yield place, f"has {named(value)} where {place} should be {_NAMES[wanted]}"
    elif isinstance(shape, list):
        for number, item in enumerate(value):
            if item is not None or None not in shape:
                yield from _misfits(item, shape[0], f"{place}[{number}]")
    elif isinstance(shape, dict):
        for field, inside in shape.items():
            needed = field.endswith("!")
            for name in value if field == "*" else [field.removesuffix("!")]:
                at = f"{place}.{name}" if place else name
                if needed and value.get(name) in (None, "", [], {}):
                    yield at, f"lacks {at}"
                elif value.get(name) is not None:
                    yield from _misfits(value[name], inside, at)


def _is_a(value: Any, wanted: type) -> bool:
    if wanted is _NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, wanted)
