"""A platform's kubeconfig is private, whole, and renewed in time."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tideflow.clients.provided import Cluster, Credentials
from tideflow.connectors import access

CLUSTER = Cluster(
    id="one",
    name="ml",
    region="nyc3",
    version="1.34.1-do.2",
    state="running",
    message="",
    endpoint="https://127.0.0.1:6443",
    node_pools=(),
)


def credentials(*, hours: float) -> Credentials:
    """Return credentials that hold for some hours."""
    return Credentials(
        server=CLUSTER.endpoint,
        certificate_authority="-----BEGIN CERTIFICATE-----\n",
        token="canary-token",
        expires_at=dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours),
    )


def test_a_kubeconfig_is_written_for_kubectl_and_private(tmp_path: Path) -> None:
    """One context, named as the platform, in a file of mode 0600."""
    path = tmp_path / "platform" / "kubeconfig"
    access.write(path, cluster=CLUSTER, credentials=credentials(hours=12))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [left.name for left in path.parent.iterdir()] == ["kubeconfig"]
    assert yaml.safe_load(path.read_text())["current-context"] == "ml"
    assert access.holds(path, CLUSTER)
    assert access.cluster_of(path) == CLUSTER.id


def test_it_does_not_hold_for_another_cluster_nor_for_long(tmp_path: Path) -> None:
    """A cluster that was made again has another id, a rehearsal's may be at another port by now.

    A token about to expire is renewed before it does.
    """
    path = tmp_path / "kubeconfig"
    assert not access.holds(path, CLUSTER)
    access.write(path, cluster=CLUSTER, credentials=credentials(hours=12))
    for left, holds in ((3, True), (1, False), (-1, False)):
        written = path.read_text()
        expires = dt.datetime.now(dt.UTC) + dt.timedelta(hours=left)
        issued = expires - dt.timedelta(hours=12)
        kubeconfig = yaml.safe_load(written)
        kubeconfig["extensions"][0]["extension"] |= {
            "issued_at": issued.isoformat(),
            "expires_at": expires.isoformat(),
        }
        path.write_text(yaml.safe_dump(kubeconfig))
        assert access.holds(path, CLUSTER) is holds
    access.write(path, cluster=CLUSTER, credentials=credentials(hours=0.1))
    assert access.holds(path, CLUSTER)
    assert not access.holds(path, replace(CLUSTER, id="two"))
    assert not access.holds(path, replace(CLUSTER, endpoint="https://127.0.0.1:6444"))


@pytest.mark.parametrize(
    ("server", "away"),
    [
        ("https://127.0.0.1:6443", False),
        ("https://[::1]:6443", False),
        ("https://localhost:6443", False),
        ("https://1b2c.k8s.ondigitalocean.com", True),
        ("https://203.0.113.7", True),
    ],
)
def test_a_kubeconfig_that_leads_elsewhere_is_no_rehearsals(
    tmp_path: Path, server: str, *, away: bool
) -> None:
    """It tells by its server."""
    path = tmp_path / "kubeconfig"
    assert not access.leads_away(path)
    access.write(path, cluster=CLUSTER, credentials=replace(credentials(hours=12), server=server))
    assert access.leads_away(path) is away


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"[", b"a: b", b"extensions: 7", b"extensions: [{}]"])
def test_a_damaged_kubeconfig_does_not_hold(tmp_path: Path, damage: bytes) -> None:
    """Whatever is in the file, the answer is no and not an exception."""
    path = tmp_path / "kubeconfig"
    path.write_bytes(damage)
    assert not access.holds(path, CLUSTER)
    assert access.cluster_of(path) is None
    assert not access.leads_away(path)
