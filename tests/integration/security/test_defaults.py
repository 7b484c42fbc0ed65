"""Of the credentials that everybody knows, none is live anywhere once everything is deployed."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from tests.integration.deploying import Checkout
from tests.integration.security import defaults
from tests.integration.security.live import everything

FOLDER = os.environ.get("TIDEFLOW_TEST_KUBEFLOW", "")
needs_sources = pytest.mark.skipif(
    not FOLDER, reason="TIDEFLOW_TEST_KUBEFLOW names no folder of Kubeflow's sources"
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
        print(release, defaults.looked_at(objects))  # noqa: T201 - the figures
        assert list(defaults.left(objects)) == []
    finally:
        checkout.stop()
