"""Rendering a fetched release with kustomize, without the network.

kustomize would fetch what kustomizations name by URL, unpinned. So each kustomization that takes part is
read first, and what it names by URL is replaced by the pinned copy. Anything else that is not a local file
is refused.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tideflow.errors import VendoringError
from tideflow.vendoring.programs import output_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tideflow.vendoring.pins import Release, Remote

_TIMEOUT = 300.0  # seconds; a whole release takes about five
_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# The fields that name files or folders. An entry of more than one line is YAML in place, as is a mapping.
_FOLDERS = ("resources", "bases", "components")
_FILES = ("crds", "configurations", "patchesStrategicMerge", "generators", "transformers", "validators")
_PLACEHOLDER = re.compile(r"(?<![\\$])\$\(([A-Za-z0-9_.-]+)\)")


@dataclass(frozen=True)
class Rendered:
    """What kustomize printed, and the variables that the kustomizations declared, each with its file."""

    text: str
    variables: dict[str, str]


def render(release: Release, work: Path, progress: Callable[[str], None]) -> Rendered:
    """Render the sources of ``release`` in ``work``, laid out as ``fetching`` does; they are changed.

    Raise VendoringError when a kustomization needs what is neither there nor pinned, or kustomize refuses.
    """
    for remote in release.remotes:
        if remote.render is not None:
            progress(f"rendering {remote.name}")
            _publish(remote, work / "remotes" / remote.name)
    progress(f"rendering Kubeflow {release.name}")
    preparation = _Preparation(release.remotes, work)
    root = work / "manifests" / release.render
    preparation.prepare(root)
    return Rendered(_kustomize(root), preparation.variables)


def _publish(remote: Remote, folder: Path) -> None:
    """Make the file that the project of ``remote`` publishes, and a kustomization that consists of it.

    A folder given with ``--from`` may have the file already. It is not enough to refer to the folder the
    file is made from: its names and variables would take part in the rendering of the release.
    """
    published = folder / Path(remote.url).name
    if not published.is_file():
        preparation = _Preparation((), folder)
        source = folder / (remote.render or ".")
        preparation.prepare(source)
        published.write_text(_kustomize(source), encoding="utf-8")
    (folder / "kustomization.yaml").write_text(f"resources: [{published.name}]\n", encoding="utf-8")


@dataclass
class _Preparation:
    """Walks through the kustomizations that take part, and makes each renderable from local files."""

    remotes: tuple[Remote, ...]
    work: Path
    variables: dict[str, str] = field(default_factory=dict)
    _done: set[Path] = field(default_factory=set)

    def prepare(self, folder: Path) -> None:
        """Prepare the kustomization in ``folder``, and those it is made of."""
        folder = folder.resolve()
        if folder in self._done:
            return
        self._done.add(folder)
        path = self._kustomization(folder)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            changed = self._localize(content, path)
            changed |= _escape_placeholders(content)
            for name in _declared(content):
                self.variables.setdefault(name, self._shown(path))
            parts = [folder / entry for key in _FOLDERS for entry in content.get(key) or ()]
        except (yaml.YAMLError, UnicodeDecodeError) as e:
            raise VendoringError(f"{self._shown(path)} is not YAML: {str(e).splitlines()[0]}") from e
        except (AttributeError, KeyError, TypeError) as e:
            raise VendoringError(f"{self._shown(path)} is not a kustomization") from e
        if changed:
            path.write_text(yaml.safe_dump(content, sort_keys=False, width=1000), encoding="utf-8")
        for part in parts:
            if part.is_dir():
                self.prepare(part)

    def _kustomization(self, folder: Path) -> Path:
        for name in _NAMES:
            if (folder / name).is_file():
                return folder / name
        raise VendoringError(f"{self._shown(folder)} has no kustomization.yaml")

    def _localize(self, content: dict[str, Any], path: Path) -> bool:
        """Point URLs to their pinned copies; refuse all else that is not a file or folder here."""
        changed = False
        for key in _FOLDERS:
            for index, entry in enumerate(content.get(key) or ()):
                local = self._pinned(entry, path)
                if local is not None:
                    content[key][index] = local
                    changed = True
        for entry in _referred(content):
            if not (path.parent / entry).exists():
                raise VendoringError(
                    f"{self._shown(path)} needs {entry!r}, which is neither in the release nor pinned",
                    hint="pin its repository under `remotes` of the release in kubeflow.toml",
                )
        return changed

    def _pinned(self, entry: str, path: Path) -> str | None:
        for remote in self.remotes:
            inside = remote.path_of(entry)
            if inside is not None:
                copy = (self.work / "remotes" / remote.name).resolve() / inside
                return os.path.relpath(copy, path.parent)
        return None

    def _shown(self, path: Path) -> str:
        work = self.work.resolve()
        return str(path.relative_to(work)) if path.is_relative_to(work) else str(path)


def _referred(content: dict[str, Any]) -> Iterator[str]:
    """Yield every file and folder that a kustomization names."""
    entries = [entry for key in (*_FOLDERS, *_FILES) for entry in content.get(key) or ()]
    for key in ("patches", "patchesJson6902", "replacements"):
        entries += [entry["path"] for entry in content.get(key) or () if "path" in entry]
    yield from (entry for entry in entries if isinstance(entry, str) and "\n" not in entry)


def _escape_placeholders(content: dict[str, Any]) -> bool:
    """Let selectors find names such as ``$(profile-name)``; say whether there was one.

    Up to kustomize 5.7 the names in the selectors of replacements were compared, since 5.8 they are regular
    expressions, in which ``$`` means the end. Kubeflow 1.10 is written for the former: left alone, its
    Profile keeps the placeholder for a name.
    """
    changed = False
    for replacement in content.get("replacements") or ():
        for target in replacement.get("targets") or ():
            for selector in (target.get("select") or {}, *(target.get("reject") or ())):
                for key in ("name", "namespace"):
                    before = selector.get(key)
                    if isinstance(before, str) and _PLACEHOLDER.search(before):
                        selector[key] = _PLACEHOLDER.sub(lambda found: re.escape(found[0]), before)
                        changed = True
    return changed


def _declared(content: dict[str, Any]) -> Iterator[str]:
    """Yield the names that a kustomization gives values to, wherever ``$(name)`` stands for them.

    These are its ``vars``, and the keys of ConfigMaps that its replacements read: by convention the
    placeholder that a replacement overwrites is called like the key.
    """
    yield from (variable["name"] for variable in content.get("vars") or ())
    for replacement in content.get("replacements") or ():
        _, data, key = str((replacement.get("source") or {}).get("fieldPath", "")).rpartition("data.")
        if data:
            yield key


def _kustomize(folder: Path) -> str:
    """Render ``folder`` with the kustomize that is part of kubectl."""
    kubectl = Path(sys.executable).with_name("kubectl")
    if not kubectl.is_file():
        raise VendoringError(f"{kubectl} is not there", hint="run `make setup`")
    # No kubeconfig, no git, no way out: nothing but the files in `folder` can decide what is rendered.
    nowhere = "http://127.0.0.1:9"
    env = {"PATH": "", "HOME": str(folder), "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere}
    return output_of([str(kubectl), "kustomize", "."], cwd=folder, env=env, timeout=_TIMEOUT)
