"""Profiles: what the profiles controller makes for each of them, while its pods run."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

from tideflow.rehearsal.standins.world import Pass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tideflow.rehearsal.standins.world import World

_PROFILE = ("kubeflow.org", "Profile")
_NAMESPACE = ("", "Namespace")
_ACCOUNT = ("", "ServiceAccount")
_MANAGER = "manager"
_CONTROLLER = ("kubeflow", "profiles-deployment")
_LABELS = "namespace-labels-data"
_ROLES = (
    ("default-viewer", "kubeflow-view"),
    ("default-editor", "kubeflow-edit"),
)
_LAST = "default-editor"  # once this account is there, all is


def _work(world: World) -> None:
    if not world.runs(*_CONTROLLER):
        return
    for profile in world.all(*_PROFILE):
        name = profile["metadata"]["name"]
        live = world.get(*_NAMESPACE, "", name)
        owner = ((profile.get("spec") or {}).get("owner") or {}).get("name")
        if not owner:
            continue  # the type allows it, and nothing comes of it
        if live is None:
            _apply(world, f"/api/v1/namespaces/{name}", _namespace(world, profile))
        elif (live["metadata"].get("annotations") or {}).get("owner") != owner:
            # As the real one: a namespace of somebody else's is not taken over.
            _say(
                world,
                profile,
                "Failed",
                f"namespace already exists, but not owned by profile creator {owner}",
            )
            continue
        if world.get(*_ACCOUNT, name, _LAST) is None:
            for path, body in _contents(profile):
                _apply(world, path, body)
        _say(world, profile, "Successful", "")


def _namespace(world: World, profile: Mapping[str, Any]) -> dict[str, Any]:
    name = profile["metadata"]["name"]
    labels = {"istio-injection": "enabled", "app.kubernetes.io/part-of": "kubeflow-profile"}
    for found in world.all("", "ConfigMap"):
        metadata = found["metadata"]
        if metadata["namespace"] == _CONTROLLER[0] and metadata["name"].startswith(_LABELS):
            stated = yaml.safe_load((found.get("data") or {}).get("namespace-labels.yaml", "")) or {}
            labels |= {key: str(value) for key, value in stated.items() if value}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "annotations": {"owner": profile["spec"]["owner"]["name"]},
            "labels": labels,
            "ownerReferences": [_reference(profile)],
        },
    }


def _contents(profile: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and object of what the namespace of a profile holds, and ``_LAST`` last."""
    name, owner = profile["metadata"]["name"], profile["spec"]["owner"]
    references = [_reference(profile)]
    administers = {"role": "admin", "user": owner["name"]}
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{name}/rolebindings"

    def metadata(of: str, annotations: Mapping[str, str]) -> dict[str, Any]:
        return {
            "name": of,
            "namespace": name,
            "ownerReferences": references,
            "annotations": dict(annotations),
        }

    def binding(
        of: str, role: str, subject: Mapping[str, str], annotations: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, Any]:
        return {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata(of, annotations),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [subject],
        }

    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": owner["kind"], "name": owner["name"]}
    yield (
        f"{rbac}/namespaceAdmin",
        binding("namespaceAdmin", "kubeflow-admin", user, administers),
    )
    yield (
        f"/apis/security.istio.io/v1beta1/namespaces/{name}/authorizationpolicies/ns-owner-access-istio",
        {
            "apiVersion": "security.istio.io/v1beta1",
            "kind": "AuthorizationPolicy",
            "metadata": metadata("ns-owner-access-istio", administers),
            "spec": {
                "rules": [
                    {"when": [{"key": "request.headers[kubeflow-userid]", "values": [owner["name"]]}]},
                    {"when": [{"key": "source.namespace", "values": [name]}]},
                ]
            },
        },
    )
    for account, role in _ROLES:
        subject = {"kind": "ServiceAccount", "name": account, "namespace": name}
        yield f"{rbac}/{account}", binding(account, role, subject)
        yield (
            f"/api/v1/namespaces/{name}/serviceaccounts/{account}",
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(account, {})},
        )


def _reference(profile: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "Profile",
        "name": profile["metadata"]["name"],
        "uid": profile["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _apply(world: World, path: str, body: dict[str, Any]) -> None:
    world.cluster.apply(path, body, field_manager=_MANAGER)


def _say(world: World, profile: dict[str, Any], kind: str, message: str) -> None:
    conditions = [{"type": kind, "status": "True", "message": message}]
    if (profile.get("status") or {}).get("conditions") != conditions:
        world.cluster.patch(
            world.path(profile, *_PROFILE) + "/status",
            {"status": {"conditions": conditions}},
            query={"fieldManager": _MANAGER},
        )


PROFILES = Pass(
    "profiles", (_PROFILE, _NAMESPACE, _ACCOUNT, ("", "ConfigMap"), ("apps", "Deployment")), _work
)
