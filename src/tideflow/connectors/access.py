"""The kubeconfig of a platform: written for Tideflow and for people's kubectl, renewed before it expires.

Beside the credentials it carries, as a kubeconfig extension, which cluster they are of and until when they
hold, so that a later run knows whether to ask for new ones.
"""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING, Any

import yaml

from tideflow.files import write_private

if TYPE_CHECKING:
    from pathlib import Path

    from tideflow.clients.digitalocean import Credentials

_EXTENSION = "tideflow.dev/access"
_SPARE = dt.timedelta(hours=1)
"""A file with less time left is renewed: no step waits longer than half of it."""


def holds(path: Path, cluster_id: str) -> bool:
    """Tell whether the file is of this cluster and will not expire soon; a damaged file does not hold."""
    try:
        extensions = yaml.safe_load(path.read_text())["extensions"]
        access = next(entry["extension"] for entry in extensions if entry["name"] == _EXTENSION)
        expires = dt.datetime.fromisoformat(access["expires_at"])
        return bool(access["cluster"] == cluster_id and expires - _SPARE > dt.datetime.now(dt.UTC))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError, StopIteration):
        return False


def write(path: Path, *, name: str, cluster_id: str, credentials: Credentials) -> None:
    """Write the kubeconfig of a cluster with one context, named as the platform; raises ``FileError``."""
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
                "extension": {"cluster": cluster_id, "expires_at": credentials.expires_at.isoformat()},
            }
        ],
    }
    write_private(path, yaml.safe_dump(kubeconfig, sort_keys=False))
