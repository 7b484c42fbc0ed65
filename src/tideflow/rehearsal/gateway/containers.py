"""What a pod's program is started with: arguments, environment and files, as they are at that moment.

A real one goes on with that until it is started again, whatever becomes of the objects meanwhile.
"""

from __future__ import annotations

import base64
import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.rehearsal.gateway.firewall import Object

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_NOT_FOUND = 404


class UnstartableError(Exception):
    """A pod refers to what is not there, so that its kubelet would not start it."""


@dataclass(frozen=True)
class Start:
    """What a program was started with; ``files`` are those of ConfigMaps and Secrets, by their paths."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    files: Mapping[str, str]


def read(cluster: Kubernetes, pod: Object) -> Start:
    """Return what a pod's own container is started with now; raises `UnstartableError`."""
    reader = _Reader(cluster, pod)
    container = next(found for found in pod["spec"]["containers"] if found["name"] != "istio-proxy")
    environment = dict(reader.environment(container))
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    arguments = tuple(_expanded(word, environment) for word in words)
    return Start(arguments, environment, dict(reader.files(container)))


class _Reader:
    """Reads what one pod refers to, each object once."""

    def __init__(self, cluster: Kubernetes, pod: Object) -> None:
        self._cluster = cluster
        self._pod = pod
        self._known: dict[tuple[str, str], dict[str, str] | None] = {}

    def environment(self, container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        found: dict[str, str] = {}
        for source in container.get("envFrom") or ():
            for kind, field in (("configmaps", "configMapRef"), ("secrets", "secretRef")):
                if field in source:
                    data = self._data(kind, source[field]["name"], source[field])
                    found |= {source.get("prefix", "") + key: value for key, value in data.items()}
        for entry in container.get("env") or ():
            value = self._value(entry)
            if value is not None:
                found[entry["name"]] = _expanded(value, found) if "value" in entry else value
        yield from found.items()

    def files(self, container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        volumes = {found["name"]: found for found in self._pod["spec"].get("volumes") or ()}
        for mount in container.get("volumeMounts") or ():
            contents = dict(self._contents(volumes.get(mount["name"], {})))
            if "subPath" in mount:
                if mount["subPath"] in contents:
                    yield mount["mountPath"], contents[mount["subPath"]]
                continue
            for path, content in contents.items():
                yield posixpath.join(mount["mountPath"], path), content

    def _value(self, entry: Mapping[str, Any]) -> str | None:
        source = entry.get("valueFrom")
        if not source:
            return str(entry.get("value", ""))
        for kind, field in (("configmaps", "configMapKeyRef"), ("secrets", "secretKeyRef")):
            if field in source:
                reference = source[field]
                data = self._data(kind, reference["name"], reference)
                if reference["key"] not in data and not reference.get("optional"):
                    raise UnstartableError(f"{kind} {reference['name']} has no key {reference['key']}")
                return data.get(reference["key"])
        at: Any = self._pod
        for part in (source.get("fieldRef") or {}).get("fieldPath", "none").split("."):
            at = (at or {}).get(part) if isinstance(at, dict) else None
        return str(at or "")

    def _contents(self, volume: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
            for kind, field in (("configmaps", "configMap"), ("secrets", "secret")):
                if field in source:
                    reference = source[field]
                    name = reference.get("name") or reference.get("secretName")
                    data = self._data(kind, name, reference)
                    items = reference.get("items")
                    if not items:
                        yield from data.items()
                    for item in items or ():
                        if item["key"] in data:
                            yield item["path"], data[item["key"]]

    def _data(self, kind: str, name: str, reference: Mapping[str, Any]) -> dict[str, str]:
        if (kind, name) not in self._known:
            self._known[kind, name] = self._fetch(kind, name)
        found = self._known[kind, name]
        if found is None and not reference.get("optional"):
            raise UnstartableError(f"{kind} {name} is not there")
        return found or {}

    def _fetch(self, kind: str, name: str) -> dict[str, str] | None:
        try:
            live = self._cluster.get(f"/api/v1/namespaces/{self._pod['metadata']['namespace']}/{kind}/{name}")
        except KubernetesError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        data: Mapping[str, str] = live.get("data") or {}
        if kind == "configmaps":
            return dict(data)
        return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}


def _expanded(word: str, environment: Mapping[str, str]) -> str:
    """Return a value with ``$(NAME)`` replaced, as a kubelet does."""
    return _REFERENCE.sub(lambda found: environment.get(found[1], found[0]) if found[1] else "$", word)
