"""What a twin is told to do wrong, as clients and clusters meet with it."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import requests
from tests.integration.planes import eventually
from tests.integration.twins import BODY, TOKEN, reached, running

from tideflow.clients.digitalocean import DigitalOcean
from tideflow.errors import DigitalOceanError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.twins import Twin

    from tideflow.clients.kubernetes import Kubernetes

pytestmark = pytest.mark.usefixtures("binaries")

CREATE = {"method": "POST", "path": "/v2/kubernetes/clusters"}
NEW: dict[str, Any] = {"region": "nyc3", "version": "1.34", "size": "s-2vcpu-4gb", "count": 2}


@pytest.fixture
def switch(twin: Twin) -> Iterator[Callable[..., None]]:
    """Yield what switches faults on; they are off afterwards."""

    def put(*rules: dict[str, Any], **faults: Any) -> None:
        path, headers = f"{twin.endpoint}/rehearsal/faults", {"Authorization": f"Bearer {TOKEN}"}
        answer = requests.put(path, json={"rules": rules} | faults, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text

    yield put
    put()


@pytest.fixture
def ours(twin: Twin) -> DigitalOcean:
    """Return our client, of which nothing is checked: failures are not described."""
    return DigitalOcean(TOKEN, endpoint=f"{twin.endpoint}/v2/")


def test_a_cluster_whose_creation_is_not_answered_is_made_once(
    ours: DigitalOcean, switch: Callable[..., None]
) -> None:
    """Whether the connection was cut or a proxy gave up; our client finds what was made."""
    switch(CREATE | {"cut": True, "carried_out": True})
    first = ours.create_cluster(name="first", **NEW)
    switch(CREATE | {"status": 504, "carried_out": True})
    second = ours.create_cluster(name="second", **NEW)
    switch(CREATE | {"cut": True})
    third = ours.create_cluster(name="third", **NEW)
    assert sorted(found.id for found in ours.clusters()) == sorted([first.id, second.id, third.id])
    for made in (first, second, third):
        ours.delete_cluster(made.id)


def test_limits_are_waited_for(ours: DigitalOcean, switch: Callable[..., None]) -> None:
    """A burst's, as long as it says, and that of an hour, which is a minute here, by its headers."""
    switch({"path": "/v2/account", "status": 429, "retry_after": 2})
    start = time.monotonic()
    assert ours.account().status == "active"
    assert 2 <= time.monotonic() - start < 10
    switch(requests_per_minute=1)
    start = time.monotonic()
    for _ in range(3):
        ours.account()
    assert time.monotonic() - start >= 2


def test_too_many_droplets_are_refused_in_words(ours: DigitalOcean, switch: Callable[..., None]) -> None:
    """And nothing is made."""
    switch(droplet_limit=1)
    with pytest.raises(DigitalOceanError, match="the droplet limit of 1 leaves") as refused:
        ours.create_cluster(name="many", **NEW)
    assert (refused.value.status, refused.value.unsure) == (422, False)
    assert "many" not in {found.name for found in ours.clusters()}


def test_clusters_break_and_nodes_stay_away(official: Any, switch: Callable[..., None]) -> None:
    """For as long as the fault is on, and in a cluster that is real."""
    switch(broken_clusters=["broken"], missing_nodes=1)
    broken = official.kubernetes.create_cluster(BODY | {"name": "broken"})["kubernetes_cluster"]
    sound = official.kubernetes.create_cluster(BODY | {"name": "sound"})["kubernetes_cluster"]

    def states(cluster: Any) -> list[str]:
        found = official.kubernetes.get_cluster(cluster["id"])["kubernetes_cluster"]
        nodes = [node["status"]["state"] for node in found["node_pools"][0]["nodes"]]
        return [found["status"]["state"], *nodes]

    eventually(lambda: states(broken), lambda found: found[0] == "error")
    eventually(lambda: states(sound), lambda found: found == ["running", "running", "provisioning"])
    time.sleep(3)
    assert states(sound)[-1] == "provisioning"
    switch()
    running(official, sound["id"])
    for made in (broken, sound):
        official.kubernetes.delete_cluster(made["id"])


def test_there_may_be_no_load_balancers(
    twin: Twin, official: Any, switch: Callable[..., None], tmp_path: Path
) -> None:
    """The Service's events say why; it gets its address when the fault is over."""
    cluster_id = official.kubernetes.create_cluster(BODY | {"name": "limited"})["kubernetes_cluster"]["id"]
    running(official, cluster_id)
    switch(no_balancers="the account has no more of them")
    with closing(reached(twin, cluster_id, tmp_path)) as inside:
        configs = "/api/v1/namespaces/kube-system/configmaps"
        eventually(lambda: "rehearsal-load-balancers" in names(inside, configs))
        path = "/api/v1/namespaces/default"
        spec = {"type": "LoadBalancer", "ports": [{"port": 80}]}
        inside.post(f"{path}/services", {"metadata": {"name": "web"}, "spec": spec})

        def warnings() -> list[str]:
            events = inside.get(f"{path}/events")["items"]
            return [event["message"] for event in events if event["reason"] == "SyncLoadBalancerFailed"]

        assert "the account has no more of them" in eventually(warnings)[0]
        assert official.load_balancers.list()["load_balancers"][0]["status"] == "new"
        switch()
        eventually(lambda: inside.get(f"{path}/services/web")["status"]["loadBalancer"].get("ingress"))
        assert len(warnings()) < 5
        assert official.load_balancers.list()["load_balancers"][0]["status"] == "active"
    official.kubernetes.destroy_associated_resources_dangerous(cluster_id)


def names(inside: Kubernetes, path: str) -> list[str]:
    """Return the names of a list's objects."""
    return [found["metadata"]["name"] for found in inside.get(path)["items"]]


def test_a_1_click_is_rolled_back(
    twin: Twin, ours: DigitalOcean, official: Any, switch: Callable[..., None], tmp_path: Path
) -> None:
    """It leaves a namespace and no release, and can be installed again."""
    cluster_id = official.kubernetes.create_cluster(BODY | {"name": "clicked"})["kubernetes_cluster"]["id"]
    running(official, cluster_id)
    switch(rolled_back=["ingress-nginx"])
    ours.install_one_clicks(cluster_id, ["ingress-nginx"])
    with closing(reached(twin, cluster_id, tmp_path)) as inside:
        path = "/api/v1/namespaces/ingress-nginx"
        eventually(lambda: "ingress-nginx" in names(inside, "/api/v1/namespaces"))
        assert names(inside, f"{path}/secrets") == names(inside, f"{path}/services") == []
        switch()
        time.sleep(3)  # none begins while the one before is rolled back
        ours.install_one_clicks(cluster_id, ["ingress-nginx"])
        eventually(lambda: "sh.helm.release.v1.ingress-nginx.v1" in names(inside, f"{path}/secrets"))
    ours.delete_cluster(cluster_id)
