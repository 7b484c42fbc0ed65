"""The sidecar that is added to a pod: as the release's settings have it, and once."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.rehearsal.standins.worlds import world

from tideflow.rehearsal.standins import injecting

if TYPE_CHECKING:
    from tideflow.rehearsal.standins.world import World

LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,100}[a-z0-9])?", fullmatch=True)
LABELS = st.dictionaries(
    st.sampled_from(["app", "version", "app.kubernetes.io/name", "service.istio.io/canonical-name"]),
    st.from_regex(r"[a-z]{1,8}", fullmatch=True),
)


def settings(version: str = "1.29.1", **values: Any) -> World:
    """Return the world with a release's settings of sidecars."""
    return world(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "namespace": "istio-system",
                "name": "istio-sidecar-injector",
                "labels": {"app.kubernetes.io/version": version},
            },
            "data": {"values": json.dumps({"global": values})},
        }
    )


def pod(name: str = "site-5d4", *containers: str, **metadata: Any) -> dict[str, Any]:
    """Return a pod of a ReplicaSet."""
    owner = {"kind": "ReplicaSet", "name": name}
    spec: dict[str, Any] = {"containers": [{"name": found} for found in containers or ("main",)]}
    return {"metadata": {"ownerReferences": [owner], **metadata}, "spec": spec}


def injected(body: dict[str, Any], where: World) -> dict[str, Any]:
    """Return the pod with the patches applied (RFC 6902, as far as they use it)."""
    found = copy.deepcopy(body)
    for patch in injecting.patches(where, {"object": body}):
        assert patch["op"] == "add"
        *path, last = patch["path"].strip("/").split("/")
        at: Any = found
        for part in path:
            at = at[part]
        if isinstance(at, list):
            at.insert(int(last), patch["value"])
        else:
            at[last] = patch["value"]
    return found


def names(containers: list[dict[str, Any]]) -> list[str]:
    """Return their names."""
    return [found["name"] for found in containers]


@given(NAMES, LABELS)
@example("a" * 62 + ".b", {})
def test_what_a_pod_had_stays_and_a_second_time_adds_nothing(name: str, labels: dict[str, str]) -> None:
    """Its labels keep their values, its containers their order, and all labels are ones Kubernetes takes."""
    body = pod(name, "one", "two", labels=labels, annotations={"mine": "1"})
    body["spec"]["initContainers"] = [{"name": "first"}]
    found = injected(body, settings())
    assert found["metadata"]["labels"].items() >= labels.items()
    assert found["metadata"]["annotations"]["mine"] == "1"
    assert all(LABEL.fullmatch(value) for value in found["metadata"]["labels"].values())
    assert names(found["spec"]["containers"]) == ["one", "two"]
    assert names(found["spec"]["initContainers"]) == ["istio-validation", "istio-proxy", "first"]
    assert injecting.patches(settings(), {"object": found}) == []


@pytest.mark.parametrize(
    ("version", "native"), [("1.26.8", False), ("1.27.0", True), ("1.29.1", True), ("", True), ("main", True)]
)
def test_sidecars_are_native_since_a_version(version: str, *, native: bool) -> None:
    """Before it the proxy is the first of the containers; where the version is unknown, it is a new one."""
    found = injected(pod(), settings(version))
    assert names(found["spec"]["containers"]) == (["main"] if native else ["istio-proxy", "main"])
    expected = ["istio-validation", "istio-proxy"] if native else ["istio-validation"]
    assert names(found["spec"]["initContainers"]) == expected


@pytest.mark.parametrize(
    ("values", "resources", "image"),
    [
        (
            {
                "hub": "example.org/i",
                "tag": "1.2",
                "proxy": {"image": "p", "resources": {"limits": {}}},
            },
            {"limits": {}},
            "example.org/i/p:1.2",
        ),
        ({}, {"requests": {"cpu": "100m", "memory": "128Mi"}}, "istio/proxyv2:1.29.1"),
    ],
)
def test_the_proxy_is_the_releases(values: dict[str, Any], resources: dict[str, Any], image: str) -> None:
    """Its image and what it asks for; Istio's own defaults where the release does not say."""
    _, proxy = injected(pod(), settings(**values))["spec"]["initContainers"]
    assert (proxy["resources"], proxy["image"]) == (resources, image)


@pytest.mark.parametrize("data", [None, {}, {"values": "{"}, {"values": "7"}])
def test_settings_that_nobody_can_read_are_the_defaults(data: dict[str, str] | None) -> None:
    """A pod is not refused because of them."""
    where = settings()
    where._objects["", "ConfigMap"]["istio-system", "istio-sidecar-injector"]["data"] = data
    _, proxy = injected(pod(), where)["spec"]["initContainers"]
    assert proxy["resources"] == {"requests": {"cpu": "100m", "memory": "128Mi"}}
    assert injected(pod(), world()) != pod()


@pytest.mark.parametrize(
    "labels",
    [
        {"service.istio.io/canonical-name": "a", "app.kubernetes.io/name": "b", "app": "c"},
        {"app.kubernetes.io/name": "a", "app": "b"},
        {"app": "a"},
    ],
)
def test_a_workload_is_named_by_its_labels(labels: dict[str, str]) -> None:
    """In Istio's order; without any, by its owner, a Deployment by its own name."""
    key = "service.istio.io/canonical-name"
    assert injected(pod(labels=labels), settings())["metadata"]["labels"][key] == "a"
    assert injected(pod("owner"), settings())["metadata"]["labels"][key] == "owner"
    of_deployment = pod("owner-5d4", labels={"pod-template-hash": "5d4"})
    assert injected(of_deployment, settings())["metadata"]["labels"][key] == "owner"


@pytest.mark.parametrize("where", ["labels", "annotations"])
def test_a_pod_may_decline(where: str) -> None:
    """By a label or by an annotation; a label counts more."""
    body = pod()
    body["metadata"][where] = {"sidecar.istio.io/inject": "false"}
    assert injecting.patches(settings(), {"object": body}) == []
    body["metadata"]["labels"] = {"sidecar.istio.io/inject": "true"}
    assert injecting.patches(settings(), {"object": body})
