"""Kubeconfigs of a platform: one for Tideflow itself, which expires soon, and one for people's kubectl.

Beside the credentials each carries, as a kubeconfig extension, which cluster they are of, where that was, and
from when until when they hold, so that a later run knows whether to ask for new ones.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from tideflow.files import write_private

if TYPE_CHECKING:
    from pathlib import Path

    from tideflow.clients.provided import Cluster, Credentials

_EXTENSION = "tideflow.dev/access"
_SPARE = 6
"""A file of which less than this part (a sixth) of its time is left is renewed."""

_DAMAGE = (
    AttributeError,
    OSError,
    UnicodeDecodeError,
    yaml.YAMLError,
    KeyError,
    TypeError,
    ValueError,
    StopIteration,
)


def holds(path: Path, cluster: Cluster) -> bool:
    """Tell whether the file is of this cluster, where it is now, and will not expire soon.

    A damaged file does not hold.
    """
    try:
        access = _read(path)
        begins, expires = (dt.datetime.fromisoformat(access[when]) for when in ("issued_at", "expires_at"))
        same = access["cluster"] == cluster.id and access["endpoint"] == cluster.endpoint
        return bool(same and expires - (expires - begins) / _SPARE > dt.datetime.now(dt.UTC))
    except _DAMAGE:
        return False


def cluster_of(path: Path) -> str | None:
    """Return the id of the cluster that the file is of; None if there is no file, or a damaged one."""
    try:
        return str(_read(path)["cluster"])
    except _DAMAGE:
        return None


def leads_away(path: Path) -> bool:
    """Tell whether the file leads to a cluster that is not on this machine; a damaged one leads nowhere."""
    try:
        clusters = yaml.safe_load(path.read_text())["clusters"]
        hosts = [urlsplit(found["cluster"]["server"]).hostname or "" for found in clusters]
    except _DAMAGE:
        return False
    return not all(map(_is_here, hosts))


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in {"", "localhost"}


def _read(path: Path) -> Any:
    extensions = yaml.safe_load(path.read_text())["extensions"]
    return next(entry["extension"] for entry in extensions if entry["name"] == _EXTENSION)


def write(path: Path, *, cluster: Cluster, credentials: Credentials) -> None:
    """Write the kubeconfig of a cluster with one context, named as the cluster is; raises ``FileError``."""
    name = cluster.name
    authority = base64.b64encode(credentials.certificate_authority.encode()).decode()
    kubeconfig: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [
            {
                "name": name,
                "cluster": {"server": credentials.server, "certificate-authority-data": authority},
            }
        ],
        "users": [{"name": name, "user": {"token": credentials.token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "extensions": [
            {
                "name": _EXTENSION,
                "extension": {
                    "cluster": cluster.id,
                    "endpoint": cluster.endpoint,
                    "issued_at": dt.datetime.now(dt.UTC).isoformat(),
                    "expires_at": credentials.expires_at.isoformat(),
                },
            }
        ],
    }
    write_private(path, yaml.safe_dump(kubeconfig, sort_keys=False))
