"""Loading manifests: from files or from objects to one list of what is desired, or an error that names it."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tideflow.engine import parsing, shapes
from tideflow.engine.templates import Rendered
from tideflow.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# What the server sets; a manifest that was copied from a live object may carry it.
_SET_BY_SERVER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
_LINE_END = re.compile(r"[\r\n]")

API_SERVICE = ("apiregistration.k8s.io", "APIService")
"""Group and kind of what registers an aggregated API."""

DEFINITION = ("apiextensions.k8s.io", "CustomResourceDefinition")
"""Group and kind of what defines a type."""


@dataclass(frozen=True, order=True, slots=True)
class Key:
    """Which object: its group and kind, its namespace (empty for cluster-scoped ones) and its name."""

    group: str
    kind: str
    namespace: str
    name: str

    @property
    def type(self) -> tuple[str, str]:
        """Group and kind; others may have a kind of the same name."""
        return self.group, self.kind

    def __str__(self) -> str:
        """Return it as people name objects, such as ``Deployment auth/dex``."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as it is desired, and where that is written."""

    key: Key
    version: str
    body: dict[str, Any]
    origin: str

    @property
    def api_service(self) -> Key:
        """The APIService that serves the object's type, where the API is an aggregated one."""
        return Key(*API_SERVICE, "", f"{self.version}.{self.key.group}")

    def in_namespace(self, namespace: str) -> Manifest:
        """Return the same manifest in the namespace it belongs to; in none, if that is empty."""
        metadata = {name: value for name, value in self.body["metadata"].items() if name != "namespace"}
        if namespace:
            metadata["namespace"] = namespace
        return replace(
            self, key=replace(self.key, namespace=namespace), body={**self.body, "metadata": metadata}
        )


def load(source: Path | Iterable[Mapping[str, Any]], *, cache: Path | None = None) -> list[Manifest]:
    """Return the objects of a folder (and all below it), of a file, or the given ones.

    ``cache`` is a folder to keep what was parsed in. Raises ``ManifestError``, naming file and object, for
    what cannot be read, is no object, or is there twice.
    """
    if isinstance(source, Path):
        documents = parsing.documents(source, cache)
    else:
        documents = (
            (body.origin, dict(body))
            if isinstance(body, Rendered)
            else (f"object {number}", _as_json(body, f"object {number}"))
            for number, body in enumerate(source, 1)
        )
    found: dict[Key, Manifest] = {}
    for origin, document in documents:
        for manifest in _manifests(document, origin):
            other = found.setdefault(manifest.key, manifest)
            if other is not manifest:
                raise ManifestError(
                    f"{manifest.key} is there twice: in {other.origin} and in {manifest.origin}",
                    hint="remove one of them",
                )
    return list(found.values())


def _as_json(body: Mapping[str, Any], origin: str) -> Any:
    """Return an object as it would be read from a file; what Python has and JSON has not is an error."""
    try:
        return json.loads(json.dumps(dict(body), allow_nan=False))
    except (RecursionError, TypeError, ValueError) as error:
        raise ManifestError(f"{origin} is no JSON: {error}") from None


def _manifests(document: Any, origin: str) -> Iterator[Manifest]:
    """Yield the object, or the objects of a list."""
    if not isinstance(document, dict):
        raise ManifestError(f"{origin} holds {shapes.named(document)}, not a Kubernetes object")
    kind, api_version = document.get("kind"), document.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(api_version, str) or not kind or not api_version:
        missing = "apiVersion" if isinstance(kind, str) and kind else "kind"
        raise ManifestError(f"{origin} holds an object without {missing}")
    if kind.endswith("List") and isinstance(document.get("items"), list):
        for number, item in enumerate(document["items"], 1):
            yield from _manifests(item, f"{origin}, item {number}")
        return
    metadata = document.get("metadata")
    name = _name(metadata, f"{origin} holds a {kind}")
    group, _, version = api_version.rpartition("/")
    namespace = document["metadata"].get("namespace") or ""
    manifest = Manifest(Key(group, kind, namespace, name), version, _cleaned(document, origin), origin)
    shapes.check(manifest)
    yield manifest


def _name(metadata: Any, what: str) -> str:
    """Return an object's name; raises ``ManifestError`` if it has none."""
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if name and not isinstance(name, str):
        raise ManifestError(f"{what} whose metadata.name is {shapes.named(name)}", hint="put it in quotes")
    if not name:
        generated = isinstance(metadata, dict) and metadata.get("generateName")
        hint = "with generateName, each run would make another object: give it a name" if generated else ""
        raise ManifestError(f"{what} without metadata.name", hint=hint)
    return str(name)


def _cleaned(document: dict[str, Any], origin: str) -> dict[str, Any]:
    """Return the object without what only the server may say, and with a Secret's data in one place.

    With ``stringData`` the API server records ownership of a field that does not exist afterwards, so that
    changes by others go unseen.
    """
    body = {field: value for field, value in document.items() if field != "status"}
    body["metadata"] = {
        field: value
        for field, value in document["metadata"].items()
        if field not in _SET_BY_SERVER and value is not None
    }
    texts = body.pop("stringData", None) if body["kind"] == "Secret" else None
    if texts:
        try:
            encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
            body["data"] = {**(body.get("data") or {}), **encoded}
        except (AttributeError, TypeError, ValueError):
            raise ManifestError(
                f"{origin} holds a Secret whose stringData is not all text", hint="quote numbers in it"
            ) from None
    if body["kind"] == "Secret" and body["apiVersion"] == "v1":
        _refuse_plain(body.get("data"), origin)
    return body


def _refuse_plain(data: Any, origin: str) -> None:
    """Raise ``ManifestError`` for a Secret's value that is not base64."""
    for key, text in data.items() if isinstance(data, dict) else ():
        try:
            # As the API server reads it, which minds no line ends.
            base64.b64decode(_LINE_END.sub("", text) if isinstance(text, str) else "", validate=True)
        except ValueError:
            raise ManifestError(
                f"{origin} holds a Secret whose data.{key} is not base64",
                hint="what is plain text belongs under stringData",
            ) from None
