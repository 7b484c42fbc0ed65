"""Credentials that every install of upstream's has, looked for wherever a cluster could hold one.

What is looked for is written down here once more, and read from the pins, but by nothing of what replaces
them: a mistake there must not hide itself.
"""

from __future__ import annotations

import base64
import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

import bcrypt
from tests.integration.deploying import PROJECT
from tests.integration.security.live import named, secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PASSWORD = "12341234"
LONG = (
    PASSWORD,
    "pUBnBOY80SnXgjibTYM9ZWNzY2xreNGQok",
    "7d16fee92f8d11b8940b081b3f8b8acb",
    "minio123",
)
"""Those that mean nothing else, wherever they stand."""

SHORT = ("minio", "test", "")
"""Those that are words, or nothing at all, and only count as the value of what is called a credential."""

_CALLED = r"[\w.-]*(?:pass|secret|key|token|credential)[\w.-]*"
_WRITTEN = _CALLED + r"[\"']?\s*[:=]\s*[\"']?{}[\"']?\s*(?:$|[,;}}])"
"""How a configuration or an argument gives one."""

_HASH = re.compile(r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}")
_PLACES = {
    "ConfigMap",
    "Secret",
    "Pod",
    "PodTemplate",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
}
_PLACES |= {"ReplicationController", "Job", "CronJob", "ControllerRevision", "PodDefault"}


def stated() -> set[str]:
    """Return the defaults that the pins state."""
    pins = tomllib.loads((PROJECT / "vendored" / "kubeflow.toml").read_text())
    return {credential["default"] for credential in pins["credentials"]}


def left(objects: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield where a default is live, and which; of a text that is encoded in another one, too."""
    for where, value in secrets(list(objects)):
        text = value.decode(errors="replace")
        _, _, key = where.partition(" ")
        if text.strip() in SHORT and re.fullmatch(_CALLED, key, re.IGNORECASE):
            yield f"{where}: {text!r}"
        yield from _in(where, text)
    for found in objects:
        if found["kind"] in _PLACES:
            text = json.dumps(found, ensure_ascii=False)
            yield from _in(named(found), text)
            yield from _assigned(named(found), found)


def _in(where: str, text: str) -> Iterator[str]:
    for default in LONG:
        forms = {default, base64.b64encode(default.encode()).decode().rstrip("=")}
        if any(form in text for form in forms):
            yield f"{where}: {default!r}"
    for hashed in _HASH.findall(text):
        if bcrypt.checkpw(PASSWORD.encode(), hashed.encode()):
            yield f"{where}: the hash of {PASSWORD!r}"


def _assigned(where: str, value: Any) -> Iterator[str]:
    """Yield the short ones that something called a credential has for its value, however it is written."""
    if isinstance(value, dict):
        pairs = [*value.items(), (value.get("name"), value.get("value"))]  # of env, by name and value
        for called, given in pairs:
            if isinstance(called, str) and given in SHORT and re.fullmatch(_CALLED, called, re.IGNORECASE):
                yield f"{where}: {called}={given!r}"
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _assigned(where, inner)
    elif isinstance(value, str):
        for default in SHORT[:2]:
            if re.search(_WRITTEN.format(default), value, re.IGNORECASE | re.MULTILINE):
                yield f"{where}: …={default!r}"


def looked_at(objects: Sequence[dict[str, Any]]) -> str:
    """Return how much was searched, and see that it was enough."""
    values = list(secrets(list(objects)))
    kinds = {found["kind"] for found in objects}
    assert {"ConfigMap", "Deployment", "Pod", "Secret"} <= kinds
    known = {where for where, _ in values}
    assert {
        "auth/dex-passwords DEX_USER_PASSWORD",
        "auth/dex-oidc-client OIDC_CLIENT_SECRET",
        "kubeflow/mlpipeline-minio-artifact accesskey",
        "kubeflow/mlpipeline-minio-artifact secretkey",
        "kubeflow/mysql-secret password",
        "kubeflow/katib-mysql-secrets MYSQL_ROOT_PASSWORD",
    } <= known
    assert any(where.startswith("oauth2-proxy/") and where.endswith("cookie-secret") for where in known)
    return (
        f"{len(LONG) + len(SHORT)} defaults, {len(objects)} objects of {len(kinds)} kinds, "
        f"{len(values)} values of Secrets"
    )
