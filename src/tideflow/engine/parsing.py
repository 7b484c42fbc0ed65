"""From files to documents, which are parsed only once.

Parsing ten megabytes of YAML takes two seconds. So what was parsed is kept as JSON, each document by a digest
of its text: after a change, what was changed is parsed, and nothing else. Secrets are never kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import yaml
from yaml.constructor import ConstructorError

from tideflow.engine.values import Loader
from tideflow.errors import FileError, ManifestError
from tideflow.files import write_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SUFFIXES = {".yaml", ".yml", ".json"}
_CACHE_FORMAT = 3  # another one whenever texts are read in another way
# In YAML, no text that goes over several lines may have these marks at the beginning of one.
_BEGINNING = re.compile(rb"^(?=---(?:\s|$))", re.MULTILINE)
_DIRECTIVE = re.compile(rb"^(?:%|\.\.\.(?:\s|$))", re.MULTILINE)


def parse(text: bytes | str, origin: str, *, after: int = 0) -> Iterator[Any]:
    """Yield the documents of a YAML text; raises ``ManifestError`` that names its origin and the line.

    The text begins ``after`` that many lines.
    """
    try:
        yield from yaml.load_all(text, Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {after + error.problem_mark.line + 1}" if error.problem_mark else "some line"
        said = "" if isinstance(error, ConstructorError) else "this is not YAML: "
        raise ManifestError(f"{origin}, {line}: {said}{error.problem}") from None
    except RecursionError:
        raise ManifestError(f"{origin} cannot be read: it is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ManifestError(f"{origin} cannot be read: {' '.join(str(error).split())}") from None


def documents(source: Path, cache: Path | None) -> Iterator[tuple[str, Any]]:
    """Yield the documents of a folder (and all below it) or of a file, and where each of them is.

    ``cache`` is a folder to keep what was parsed in. Raises ``ManifestError`` for what cannot be read.
    """
    texts = _read(source)
    kept_in = cache and cache / f"manifests-{_digest(str(source.absolute()).encode())}.json"
    kept = _kept(kept_in) if kept_in else {}
    used: dict[str, list[Any]] = {}
    for path, text in texts.items():
        number = 0
        for piece, after in _pieces(text) if path.suffix != ".json" else [(text, 0)]:
            digest = _digest(path.suffix.encode(), piece)
            found = kept.get(digest)
            if found is None:
                found = list(_parsed(path, piece, after))
            used[digest] = found
            for document in found:
                number += 1
                if document is not None:
                    yield f"{path}" if number == 1 else f"{path} (document {number})", document
    if kept_in:
        safe = {digest: found for digest, found in used.items() if not any(map(_has_secret, found))}
        if safe.keys() != kept.keys():
            # Without room for it, it is done without; so is what no JSON can hold.
            with contextlib.suppress(FileError, TypeError, ValueError):
                write_private(kept_in, json.dumps(safe))


def _read(source: Path) -> dict[Path, bytes]:
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
    return texts


def _pieces(text: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the text of each document, and how many lines are before it; with directives, all at once."""
    after = 0
    for piece in [text] if _DIRECTIVE.search(text) else _BEGINNING.split(text):
        yield piece, after
        after += piece.count(b"\n")


def _parsed(path: Path, text: bytes, after: int) -> Iterator[Any]:
    if path.suffix != ".json":
        yield from parse(text, str(path), after=after)
        return
    try:
        yield json.loads(text, parse_constant=_refuse)
    except (RecursionError, ValueError) as error:
        raise ManifestError(f"{path} cannot be read: {error}") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no value that Kubernetes has")


def _digest(*texts: bytes) -> str:
    digest = hashlib.sha256(str(_CACHE_FORMAT).encode())
    for text in texts:
        digest.update(f"\0{len(text)}\0".encode())
        digest.update(text)
    return digest.hexdigest()[:32]


def _kept(path: Path) -> dict[str, list[Any]]:
    """Return what was kept; a damaged file only costs a parse."""
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) and all(isinstance(found, list) for found in kept.values()) else {}


def _has_secret(document: Any) -> bool:
    if not isinstance(document, dict):
        return False
    items = document.get("items")
    return document.get("kind") == "Secret" or (
        isinstance(items, list) and any(_has_secret(item) for item in items)
    )
