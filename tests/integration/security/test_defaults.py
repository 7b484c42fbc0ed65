"""Of the credentials that everybody knows, none is live anywhere once everything is deployed."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest
from tests.integration.deploying import Checkout
from tests.integration.logging_in import refused
from tests.integration.security import defaults
from tests.integration.security.live import everything, secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST, EMAIL = "kubeflow.localhost", "user@example.com"
FOLDER = os.environ.get("TIDEFLOW_TEST_KUBEFLOW", "")
needs_sources = pytest.mark.skipif(
    not FOLDER, reason="TIDEFLOW_TEST_KUBEFLOW names no folder of Kubeflow's sources"
)


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
        f"{len(defaults.LONG) + len(defaults.SHORT)} defaults, {len(objects)} objects of {len(kinds)} kinds, "
        f"{len(values)} values of Secrets"
    )


def test_every_default_is_looked_for() -> None:
    """Those that are written down here are those that the pins state."""
    assert defaults.stated() == {*defaults.LONG, *defaults.SHORT}


def planted(value: str, **more: Any) -> dict[str, Any]:
    """Return a Secret as it was shipped."""
    data = {"password": base64.b64encode(value.encode()).decode(), **more}
    return {"kind": "Secret", "metadata": {"namespace": "a", "name": "b"}, "data": data}


@pytest.mark.parametrize(
    "found",
    [
        *(planted(default) for default in (*defaults.LONG, *defaults.SHORT)),
        planted(bcrypt.hashpw(b"12341234", bcrypt.gensalt(4)).decode()),
        planted("the key minio123 of a configuration"),
        planted(base64.b64encode(b"12341234").decode()),
        {
            "kind": "Pod",
            "metadata": {"name": "b"},
            "spec": {"containers": [{"env": [{"name": "MYSQL_ROOT_PASSWORD", "value": "test"}]}]},
        },
        {
            "kind": "Deployment",
            "metadata": {"name": "b"},
            "spec": {"containers": [{"args": ["--secret-key=minio"]}]},
        },
        {"kind": "ConfigMap", "metadata": {"name": "b"}, "data": {"config": "a: 1\naccessKey: minio\nb: 2"}},
        {"kind": "ConfigMap", "metadata": {"name": "b"}, "data": {"password": "test"}},
    ],
)
def test_a_default_is_found_wherever_it_is(found: dict[str, Any]) -> None:
    """Or that none is found would say nothing."""
    assert list(defaults.left([found]))


def test_none_is_left_of_the_sample(rehearsed: Checkout) -> None:
    """Nowhere in the cluster; and Dex refuses the one that people would try."""
    objects = everything(rehearsed)
    print(looked_at(objects))  # noqa: T201 - the figures
    assert list(defaults.left(objects)) == []
    found = re.search(r"https://kubeflow\.localhost:(\d+)", rehearsed.pyinfra("deploys/status.py"))
    assert found is not None
    assert refused(f"https://127.0.0.1:{found[1]}", HOST, EMAIL, defaults.PASSWORD)


@pytest.mark.soak
@needs_sources
@pytest.mark.usefixtures("binaries", "auth_proxy")
@pytest.mark.parametrize("release", ["26.03", "v1.10.2"])
def test_none_is_left_of_a_release(tmp_path: Path, release: str) -> None:
    """Of all that upstream ships."""
    checkout = Checkout.make(tmp_path)
    checkout.run("tideflow", "vendor", "--release", release, "--from", str(Path(FOLDER).resolve()))
    version = {"26.03": "1.34", "v1.10.2": "1.33"}[release]
    (checkout.folder / "group_data" / "ml-platform.py").write_text(f'kubernetes_version = "{version}"\n')
    try:
        checkout.pyinfra("deploys/all.py")
        objects = everything(checkout)
        print(release, looked_at(objects))  # noqa: T201 - the figures
        assert list(defaults.left(objects)) == []
    finally:
        checkout.stop()
