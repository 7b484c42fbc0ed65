"""A rehearsal in the realistic pace: slow pulls, a late database, and clients that crash meanwhile."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest
from tests.integration.deploying import Checkout, failed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.usefixtures("binaries"), pytest.mark.soak]

# A release has it and the sample has not: a client of the database, which ends without it.
CLIENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "metadata-grpc-deployment", "namespace": "kubeflow"},
    "spec": {
        "selector": {"matchLabels": {"component": "metadata-grpc-server"}},
        "template": {
            "metadata": {"labels": {"component": "metadata-grpc-server"}},
            "spec": {
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [
                    {
                        "name": "container",
                        "image": "gcr.io/tfx-oss-public/ml_metadata_store_server:1.14.0",
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            },
        },
    },
}


def test_a_slow_start_is_waited_for(tmp_path: Path) -> None:
    """One run of the sample brings everything up, without a refused write and without help."""
    checkout = dataclasses.replace(Checkout.make(tmp_path), patience=3000)
    checkout.platform.mkdir(parents=True)
    (checkout.platform / "sample-base").touch()
    folder = checkout.folder / "vendored" / "sample" / "apps_v1--Deployment"
    (folder / "kubeflow--metadata-grpc-deployment.yaml").write_text(json.dumps(CLIENT))
    try:
        printed = checkout.pyinfra("deploys/all.py", "--data", "rehearsal_pace=realistic")
        assert failed(checkout.writes()) == []
        assert checkout.not_running() == []
        assert "ContainerCreating" in printed
        (client,) = checkout.get("pods", "-n", "kubeflow", "-l", "component=metadata-grpc-server")["items"]
        restarts = {found["name"]: found["restartCount"] for found in client["status"]["containerStatuses"]}
        assert restarts["container"] > 0
    finally:
        checkout.stop()
