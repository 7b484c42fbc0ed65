"""Loading manifests: from files or from objects to one list of what is desired, or an error that names it.

Parsing ten megabytes of YAML takes two seconds, so what was parsed is kept as JSON, by a digest of all files.
Secrets are never kept there.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tideflow.engine import shapes
from tideflow.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SUFFIXES = {".yaml", ".yml", ".json"}
_CACHE_FORMAT = 1
# What the server sets; a manifest that was copied from a live object may carry it.
_SET_BY_SERVER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")


@dataclass(frozen=True, order=True, slots=True)
class Key:
    """Which object: its group and kind, its namespace (empty for cluster-scoped ones) and its name."""

    group: str
    kind: str
    namespace: str
    name: str

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

    def in_namespace(self, namespace: str) -> Manifest:
        """Return the same manifest in the namespace it belongs to; in none, if that is empty."""
        metadata = {name: value for name, value in self.body["metadata"].items() if name != "namespace"}
        if namespace:
            metadata["namespace"] = namespace
        return replace(
            self, key=replace(self.key, namespace=namespace), body={**self.body, "metadata": metadata}
        )


class _Loader(yaml.CSafeLoader):
    """YAML as kubectl reads it: dates stay text, and so does a lone ``=``."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}
    ]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def load(source: Path | Iterable[Mapping[str, Any]], *, cache: Path | None = None) -> list[Manifest]:
    """Return the objects of a folder (and all below it), of a file, or the given ones.

    ``cache`` is a folder to keep what was parsed in. Raises ``ManifestError``, naming file and object, for
    what cannot be read, is no object, or is there twice.
    """
    if isinstance(source, Path):
        documents = _from_files(source, cache)
    else:
        documents = ((f"object {number}", dict(body)) for number, body in enumerate(source, 1))
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


def _from_files(source: Path, cache: Path | None) -> Iterator[tuple[str, Any]]:
    if source.is_dir():
        paths = sorted(path for path in source.rglob("*") if path.suffix in _SUFFIXES and path.is_file())
    else:
        paths = [source]
    try:
        texts = {path: path.read_bytes() for path in paths}
    except OSError as error:
        raise ManifestError(f"{error.filename or source} cannot be read: {error.strerror}") from error
    if not texts:
        raise ManifestError(f"there are no manifests in {source}")
    kept_in = cache and cache / f"manifests-{_digest(texts)}.json"
    kept = _kept(kept_in) if kept_in else None
    if kept is None:
        kept = {str(path): list(_parsed(path, text)) for path, text in texts.items()}
        if kept_in:
            _keep(kept_in, kept)
    for path, text in texts.items():
        # A file with Secrets is not kept, and parsed each time.
        documents = kept.get(str(path))
        for number, document in enumerate(_parsed(path, text) if documents is None else documents, 1):
            if document is not None:
                yield f"{path}" if number == 1 else f"{path} (document {number})", document


def _parsed(path: Path, text: bytes) -> Iterator[Any]:
    if path.suffix != ".json":
        yield from parse(text, str(path))
        return
    try:
        yield json.loads(text)
    except ValueError as error:
        raise ManifestError(f"{path} cannot be read: {error}") from None


def parse(text: bytes | str, origin: str) -> Iterator[Any]:
    """Yield the documents of a YAML text; raises ``ManifestError`` that names its origin and the line."""
    try:
        yield from yaml.load_all(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else "some line"
        raise ManifestError(f"{origin}, {line}: this is not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ManifestError(f"{origin} cannot be read: {error}") from None


def _manifests(document: Any, origin: str) -> Iterator[Manifest]:
    """Yield the object, or the objects of a list."""
    if not isinstance(document, dict):
        raise ManifestError(f"{origin} holds a {type(document).__name__}, not a Kubernetes object")
    kind, api_version = document.get("kind"), document.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(api_version, str) or not kind or not api_version:
        missing = "apiVersion" if isinstance(kind, str) and kind else "kind"
        raise ManifestError(f"{origin} holds an object without {missing}")
    if kind.endswith("List") and isinstance(document.get("items"), list):
        for number, item in enumerate(document["items"], 1):
            yield from _manifests(item, f"{origin}, item {number}")
        return
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
        raise ManifestError(f"{origin} holds a {kind} without metadata.name")
    group, _, version = api_version.rpartition("/")
    namespace = metadata.get("namespace") or ""
    manifest = Manifest(Key(group, kind, namespace, name), version, _cleaned(document, origin), origin)
    shapes.check(manifest)
    yield manifest


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
        except AttributeError:
            raise ManifestError(
                f"{origin} holds a Secret whose stringData is not all text", hint="quote numbers in it"
            ) from None
        body["data"] = {**(body.get("data") or {}), **encoded}
    return body


def _digest(texts: Mapping[Path, bytes]) -> str:
    digest = hashlib.sha256(str(_CACHE_FORMAT).encode())
    for path, text in texts.items():
        digest.update(f"{path}\0{len(text)}\0".encode())
        digest.update(text)
    return digest.hexdigest()[:32]


def _kept(path: Path) -> dict[str, list[Any]] | None:
    """Return what was kept; a damaged file only costs a parse."""
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) else None


def _keep(path: Path, parsed: Mapping[str, list[Any]]) -> None:
    """Keep what was parsed, in the place of what was kept before; without room for it, do without."""
    safe = {
        name: documents
        for name, documents in parsed.items()
        if not any(_has_secret(document) for document in documents)
    }
    temporary = None
    try:
        text = json.dumps(safe)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        for old in path.parent.glob("manifests-*.json"):
            if old.stat().st_mtime < path.parent.stat().st_mtime - 7 * 86400:
                old.unlink()
        Path(temporary).replace(path)
    except (OSError, ValueError, TypeError):
        if temporary:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()


def _has_secret(document: Any) -> bool:
    if not isinstance(document, dict):
        return False
    items = document.get("items")
    return document.get("kind") == "Secret" or (
        isinstance(items, list) and any(_has_secret(item) for item in items)
    )
