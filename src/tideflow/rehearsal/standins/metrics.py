"""What metrics-server answers: pods use half of what they ask for, and nodes what their pods do."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from kubernetes.utils import parse_quantity

from tideflow.rehearsal.standins.world import Pass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tideflow.rehearsal.standins.world import World

SERVICE = ("metrics-server", "metrics-server")
"""Namespace and name of the Service that the answers are those of."""

_GROUP = "metrics.k8s.io/v1beta1"
_ROOT = f"/apis/{_GROUP}"
_POD = ("", "Pod")
_NODE = ("", "Node")

WATCHED = Pass("metrics", (_POD, _NODE), lambda _: None)
"""Does nothing by itself: it has pods and nodes watched, which answers are made of."""


def answer(world: World, url: str) -> dict[str, Any] | None:
    """Return what is answered to a GET, or None if there is nothing at the URL."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if path == _ROOT:
        return _types()
    where = path.removeprefix(f"{_ROOT}/").split("/")
    wanted = _labels(parse_qs(parts.query).get("labelSelector", [""])[0])
    if where[0] == "namespaces" and len(where) > 2:  # noqa: PLR2004 - namespaces/NAME/pods
        namespace, where = where[1], where[2:]
    else:
        namespace = ""
    if not path.startswith(f"{_ROOT}/") or where[0] not in {"pods", "nodes"}:
        return None
    kind = "PodMetrics" if where[0] == "pods" else "NodeMetrics"
    found = _pods(world) if where[0] == "pods" else _nodes(world)
    items = [
        {"kind": kind, "apiVersion": _GROUP, **each}
        for each in found
        if namespace in {"", each["metadata"].get("namespace", "")}
        and wanted.items() <= each["metadata"]["labels"].items()
    ]
    if len(where) > 1:
        return next((each for each in items if each["metadata"]["name"] == where[1]), None)
    return {"kind": f"{kind}List", "apiVersion": _GROUP, "metadata": {}, "items": items}


def _types() -> dict[str, Any]:
    verbs = ["get", "list"]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": _GROUP,
        "resources": [
            {
                "name": name,
                "singularName": "",
                "namespaced": name == "pods",
                "kind": kind,
                "verbs": verbs,
            }
            for name, kind in (("nodes", "NodeMetrics"), ("pods", "PodMetrics"))
        ],
    }


def _labels(selector: str) -> dict[str, str]:
    """Return the labels that a selector wants; those of another form than ``a=b`` are not looked at."""
    pairs = [term.replace("==", "=").split("=") for term in selector.split(",") if "=" in term]
    return {pair[0].strip(): pair[-1].strip() for pair in pairs if not pair[0].endswith("!")}


def _pods(world: World) -> list[dict[str, Any]]:
    return [
        {
            **_entry(pod),
            "containers": [
                {"name": container["name"], "usage": _usage([container])} for container in _containers(pod)
            ],
        }
        for pod in world.all(*_POD)
        if (pod.get("status") or {}).get("phase") == "Running"
    ]


def _nodes(world: World) -> list[dict[str, Any]]:
    running: dict[str, list[Mapping[str, Any]]] = {}
    for pod in world.all(*_POD):
        running.setdefault(pod["spec"].get("nodeName", ""), []).extend(_containers(pod))
    return [
        {**_entry(node), "usage": _usage(running.get(node["metadata"]["name"], ()))}
        for node in world.all(*_NODE)
    ]


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a pod's containers that run for as long as it does, sidecars among them."""
    spec = pod["spec"]
    sidecars = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    return [*spec["containers"], *sidecars]


def _entry(live: Mapping[str, Any]) -> dict[str, Any]:
    metadata = live["metadata"]
    own = {name: metadata[name] for name in ("name", "namespace") if name in metadata}
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "metadata": {**own, "labels": metadata.get("labels") or {}, "creationTimestamp": now},
        "timestamp": now,
        "window": "15s",
    }


def _usage(containers: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    asked = [(each.get("resources") or {}).get("requests") or {} for each in containers]
    cpu = sum(_quantity(each.get("cpu", 0)) for each in asked) / 2
    memory = sum(_quantity(each.get("memory", 0)) for each in asked) / 2
    return {"cpu": f"{cpu * 1000:.0f}m", "memory": f"{memory / 1024:.0f}Ki"}


def _quantity(text: str | int) -> float:
    return float(parse_quantity(text))  # type: ignore[no-untyped-call]
