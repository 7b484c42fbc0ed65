"""The least that an object of some kinds must have for others to be understood by it.

The API server checks the rest, and better. What is looked at while planning must be there beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tideflow.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tideflow.engine.manifests import Manifest

_WORKLOAD = ("spec", "template", "spec", "containers")
_REQUIRED: dict[tuple[str, str], tuple[tuple[str, ...], ...]] = {
    ("", "Pod"): (("spec", "containers"),),
    ("", "ReplicationController"): (_WORKLOAD,),
    ("", "Service"): (("spec",),),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (
        ("spec", "group"),
        ("spec", "names", "kind"),
        ("spec", "names", "plural"),
        ("spec", "versions"),
    ),
    ("apps", "DaemonSet"): (_WORKLOAD,),
    ("apps", "Deployment"): (_WORKLOAD,),
    ("apps", "ReplicaSet"): (_WORKLOAD,),
    ("apps", "StatefulSet"): (_WORKLOAD,),
    ("autoscaling", "HorizontalPodAutoscaler"): (
        ("spec", "scaleTargetRef", "kind"),
        ("spec", "scaleTargetRef", "name"),
    ),
    ("batch", "CronJob"): (("spec", "jobTemplate", *_WORKLOAD),),
    ("batch", "Job"): (_WORKLOAD,),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): (("roleRef", "kind"), ("roleRef", "name")),
    ("rbac.authorization.k8s.io", "RoleBinding"): (("roleRef", "kind"), ("roleRef", "name")),
}
# Fields that hold lists of mappings, wherever they are: what is no such list cannot be looked through.
_LISTS = frozenset(
    {"containers", "env", "envFrom", "imagePullSecrets", "initContainers", "subjects", "versions", "webhooks"}
)
_MAPPINGS = frozenset({"annotations", "labels", "metadata", "spec", "template"})
_BUILT_IN = "k8s.io"


def check(manifest: Manifest) -> None:
    """Raise ``ManifestError``, naming object, file and field, for what no such object can be."""
    key = manifest.key
    for path in _REQUIRED.get((key.group, key.kind), ()):
        found: Any = manifest.body
        for number, field in enumerate(path, 1):
            if not isinstance(found, dict) or found.get(field) in (None, "", [], {}):
                raise ManifestError(
                    f"{key} in {manifest.origin} lacks {'.'.join(path[:number])}",
                    hint=f"see kubectl explain {key.kind.lower()}.{'.'.join(path[:number])}",
                )
            found = found[field]
    if "." in key.group and not key.group.endswith(_BUILT_IN):
        return  # fields of custom resources may be named alike and be of any type
    for place, wanted, there in _misfits(manifest.body, ()):
        raise ManifestError(
            f"{key} in {manifest.origin} has {there} where {'.'.join(place)} should be {wanted}"
        )


def _misfits(value: Any, place: tuple[str, ...]) -> Iterator[tuple[Sequence[str], str, str]]:
    """Yield where a known field is of another type than it has to be."""
    if not isinstance(value, dict):
        return
    for name, inside in value.items():
        at = (*place, str(name))
        if name in {"data", "openAPIV3Schema", "stringData"} or inside is None:
            continue  # names in them are anybody's
        if name in _MAPPINGS and not isinstance(inside, dict):
            yield at, "a mapping", _named(inside)
        elif name in _LISTS:
            if not isinstance(inside, list):
                yield at, "a list", _named(inside)
                continue
            for number, item in enumerate(inside):
                if not isinstance(item, dict):
                    yield (*at[:-1], f"{name}[{number}]"), "a mapping", _named(item)
                else:
                    yield from _misfits(item, (*at[:-1], f"{name}[{number}]"))
        else:
            yield from _misfits(inside, at)


def _named(value: Any) -> str:
    kinds = {str: "a text", bool: "true or false", list: "a list", dict: "a mapping"}
    return kinds.get(type(value), "a number")
