"""The login of whole releases of Kubeflow, by their own objects."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.integration import gateways
from tests.integration.logging_in import welcome
from tests.integration.planes import eventually

from tideflow.vendoring.vendor import vendor

FOLDER = os.environ.get("TIDEFLOW_TEST_KUBEFLOW", "")
PINS = gateways.SAMPLE.parent / "kubeflow.toml"

pytestmark = pytest.mark.skipif(
    not FOLDER, reason="TIDEFLOW_TEST_KUBEFLOW names no folder with Kubeflow's manifests"
)


@pytest.mark.parametrize(("release", "closed"), [("26.03", True), ("v1.10.2", False)])
def test_a_release_lets_in_who_has_the_password(
    release: str, binaries: Path, auth_proxy: Path, tmp_path: Path, *, closed: bool
) -> None:
    """And nobody with another. Its own policies, if it has any, keep nginx out of the gateway."""
    assert auth_proxy.exists()
    shutil.copy(PINS, tmp_path)
    vendor(tmp_path, progress=lambda _: None, release=release, source=Path(FOLDER))
    with gateways.running(tmp_path / "cluster", binaries, tmp_path / "kubeflow") as site:
        visitor = site.login()
        told = welcome(visitor, gateways.EMAIL)
        assert told["service"] == "centraldashboard.kubeflow"
        assert visitor.get("/pipeline/").status_code == 503  # it is not deployed here
        assert site.refuses("12341234")
        site.cluster.delete(gateways.POLICY)
        if closed:
            eventually(lambda: site.visitor().get("/").status_code, lambda status: status == 504)
        else:
            assert site.visitor().get("/").status_code == 403
