"""Taking a rendered release apart: one file per object, under names that tell which object it is.

A file is called ``<group>_<version>--<Kind>/<namespace>--<name>.yaml``. The core group is called ``core``,
and ``default`` stands for no namespace. What could be mistaken is percent-encoded: every character of a
name that is not a letter, a digit or one of ``-._`` (``system:node`` is ``system%3Anode``), and a ``--``
inside a namespace. So the first ``--`` separates namespace and name, and no two objects share a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import yaml

from tideflow.errors import VendoringError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SEPARATOR = re.compile(r"^---[ \t]*$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"(?<!\$)\$\(([A-Za-z0-9_.-]+)\)")


@dataclass(frozen=True)
class Manifest:
    """One rendered object: its YAML as kustomize wrote it, and the object that it is."""

    text: str
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.content["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """The object's namespace, or an empty string."""
        return str(self.content["metadata"].get("namespace") or "")

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What no two objects of a cluster share; versions of a group are views of the same object."""
        group, _, _ = str(self.content["apiVersion"]).rpartition("/")
        return group, str(self.content["kind"]), self.namespace or "default", self.name

    @property
    def path(self) -> str:
        """The file of the object, relative to the folder of the release."""
        group, _, version = str(self.content["apiVersion"]).rpartition("/")
        namespace = (self.namespace or "default").replace("--", "-%2D")
        return f"{group or 'core'}_{version}--{self.content['kind']}/{namespace}--{_safe(self.name)}.yaml"

    def __str__(self) -> str:
        """Return the object as messages name it."""
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.content['kind']} {where}"


def split(text: str) -> list[Manifest]:
    """Return the objects in ``text``, which is what kustomize printed, in its order.

    Raise VendoringError for a document that is no object, and for an object that is there twice.
    """
    manifests: dict[tuple[str, str, str, str], Manifest] = {}
    for number, document in enumerate(_SEPARATOR.split(text), start=1):
        body = document.strip("\n")
        if not body:
            continue
        manifest = Manifest(f"{body}\n", _object(body, number))
        if manifest.identity in manifests:
            raise VendoringError(f"{manifest} was rendered twice")
        manifests[manifest.identity] = manifest
    return list(manifests.values())


def refuse_unresolved(manifests: Iterable[Manifest], variables: Mapping[str, str]) -> None:
    """Raise VendoringError for the first ``$(V)`` in an object for a ``V`` of ``variables``.

    ``variables`` gives the file that declares each. Other placeholders are right as they are: in commands and
    arguments of containers they refer to the container's environment.
    """
    for manifest in manifests:
        for found in _PLACEHOLDER.finditer(manifest.text):
            if found[1] in variables:
                raise VendoringError(
                    f"{manifest} still has {found[0]}, which {variables[found[1]]} declares as a variable",
                    hint="this kustomize renders the release otherwise than its authors' did",
                )


def _object(body: str, number: int) -> dict[str, Any]:
    try:
        content = yaml.load(body, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError) as e:
        raise VendoringError(f"document {number} is not YAML: {str(e).splitlines()[0]}") from e
    if not isinstance(content, dict):
        raise VendoringError(f"document {number} is not an object")
    metadata = content.get("metadata")
    named = {
        "apiVersion": content.get("apiVersion"),
        "kind": content.get("kind"),
        "metadata.name": metadata.get("name") if isinstance(metadata, dict) else None,
    }
    for key, value in named.items():
        if not isinstance(value, str) or not value:
            known = " ".join(str(other) for other in named.values() if other)
            raise VendoringError(f"document {number} ({known or 'nothing known'}) has no {key}")
    return content


def _safe(name: str) -> str:
    # quote() leaves these alone: letters, digits and _.-~
    return quote(name, safe="").replace("~", "%7E")
