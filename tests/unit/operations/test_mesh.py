"""What Kubeflow's mesh needs of Cilium."""

import pytest

from tideflow.errors import ApplyError
from tideflow.operations import mesh

GOOD = {"cni-exclusive": "false", "bpf-lb-sock-hostns-only": "true", "kube-proxy-replacement": "true"}


@pytest.mark.parametrize(
    "config",
    [
        GOOD,
        {"bpf-lb-sock-hostns-only": "true"},
        {"kube-proxy-replacement": "false"},
        {"kube-proxy-replacement": "false", "bpf-lb-sock": "false", "cni-exclusive": "false"},
    ],
)
def test_settings_that_leave_traffic_to_the_sidecars(config: dict[str, str]) -> None:
    """Services are resolved by Cilium's sockets for the host alone, or not at all."""
    mesh.refuse(config)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (GOOD | {"cni-exclusive": "true"}, "cni-exclusive is true"),
        (GOOD | {"bpf-lb-sock-hostns-only": "false"}, "bpf-lb-sock-hostns-only is false"),
        ({}, "bpf-lb-sock-hostns-only is false"),
        ({"kube-proxy-replacement": "false", "bpf-lb-sock": "true"}, "bpf-lb-sock-hostns-only is false"),
    ],
)
def test_settings_that_do_not_are_refused_by_name(config: dict[str, str], named: str) -> None:
    """With what to do about it."""
    with pytest.raises(ApplyError, match=named) as caught:
        mesh.refuse(config)
    assert "kube-system/cilium-config" in str(caught.value)


def test_all_that_is_wrong_is_told() -> None:
    """In one line."""
    with pytest.raises(ApplyError, match=r"cni-exclusive is true.*; bpf-lb-sock-hostns-only is false"):
        mesh.refuse({"cni-exclusive": "true"})
