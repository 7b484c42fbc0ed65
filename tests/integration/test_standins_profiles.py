"""The profiles controller's stand-in on a real control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.integration.engine_runs import apply
from tests.integration.happening import available, definitions, exists, moment, now
from tests.integration.planes import eventually
from tests.unit.engine.objects import config_map, deployment, namespace

if TYPE_CHECKING:
    from tideflow.clients.kubernetes import Kubernetes

PROFILES = "/apis/kubeflow.org/v1/profiles"
DEPLOYMENT = "/apis/apps/v1/namespaces/kubeflow/deployments/profiles-deployment"
OWNER = {"kind": "User", "name": "ada@example.org"}


def profile(name: str, **spec: Any) -> dict[str, Any]:
    """Return a Profile."""
    return {"apiVersion": "kubeflow.org/v1", "kind": "Profile", "metadata": {"name": name}, "spec": spec}


def says(live: dict[str, Any]) -> list[str]:
    """Return what a Profile says of itself."""
    return [found["type"] for found in (live.get("status") or {}).get("conditions") or ()]


def test_a_profile_becomes_a_namespace(client: Kubernetes) -> None:
    """With accounts, roles and a policy of its owner in it, even when the policy's type comes last."""
    since = now(client)
    stated = config_map(
        "namespace-labels-data-1", "kubeflow", **{"namespace-labels.yaml": "team: ml\nistio-injection: ''\n"}
    )
    apply(
        client,
        [
            *definitions("profiles.kubeflow.org"),
            namespace("kubeflow"),
            namespace("taken"),
            stated,
            *(profile(name, owner=OWNER) for name in ("ada", "taken")),
            profile("a-first-without-owner"),
        ],
        wait=False,
    )
    apply(client, [deployment("profiles-deployment", "kubeflow")], set_name="profiles")
    runs = moment(client, DEPLOYMENT, available, since=since)
    assert moment(client, "/api/v1/namespaces/ada", since=since) > runs
    apply(client, definitions("authorizationpolicies.security.istio.io"), set_name="policies")

    moment(client, f"{PROFILES}/ada", lambda live: says(live) == ["Successful"])
    made = client.get("/api/v1/namespaces/ada")["metadata"]
    assert made["annotations"]["owner"] == OWNER["name"]
    assert made["labels"]["team"] == "ml"
    assert made["labels"]["istio-injection"] == "enabled"
    for account in ("default-editor", "default-viewer"):
        assert exists(client, f"/api/v1/namespaces/ada/serviceaccounts/{account}")
    bindings = client.get("/apis/rbac.authorization.k8s.io/v1/namespaces/ada/rolebindings")["items"]
    assert {
        (found["metadata"]["name"], found["roleRef"]["name"], found["subjects"][0]["name"])
        for found in bindings
    } == {
        ("namespaceAdmin", "kubeflow-admin", "ada@example.org"),
        ("default-editor", "kubeflow-edit", "default-editor"),
        ("default-viewer", "kubeflow-view", "default-viewer"),
    }
    policies = "/apis/security.istio.io/v1beta1/namespaces/ada/authorizationpolicies"
    assert exists(client, f"{policies}/ns-owner-access-istio")


def test_a_namespace_of_others_is_not_taken_over(client: Kubernetes) -> None:
    """The Profile says that it failed; the one without an owner is nobody's trouble."""
    moment(client, f"{PROFILES}/taken", lambda live: says(live) == ["Failed"])
    assert not exists(client, "/api/v1/namespaces/taken/serviceaccounts/default-editor")


def test_a_profile_takes_its_namespace_along(client: Kubernetes) -> None:
    """What the stand-in made is the Profile's own, for Kubernetes' garbage collector.

    It looks for new types twice a minute, so this may take as long.
    """
    client.delete(f"{PROFILES}/ada")
    eventually(lambda: exists(client, "/api/v1/namespaces/ada"), lambda there: not there)
