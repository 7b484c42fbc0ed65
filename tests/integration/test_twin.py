"""A twin that really listens, as DigitalOcean's own client (pydo) and ours know it.

Each call is held against DigitalOcean's description, the requests as well as the answers.
"""

from __future__ import annotations

import inspect
import signal
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, DecodeError, HttpResponseError
from tests import description
from tests.integration.planes import eventually
from tests.integration.twins import BODY, TOKEN, nodes, pydo_client, running

from tideflow.clients.digitalocean import DigitalOcean
from tideflow.errors import DigitalOceanError
from tideflow.rehearsal.addresses import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.twins import Twin

pytestmark = [description.needed, pytest.mark.usefixtures("binaries")]


def test_the_life_of_a_cluster_with_pydo(official: Any, twin: Twin, calls: set[str], tmp_path: Path) -> None:
    """Created, reached, scaled, found again by a twin whose predecessor was killed, and deleted."""
    api = official.kubernetes
    assert official.account.get()["account"]["status"] == "active"
    assert "nyc3" in {region["slug"] for region in api.list_options()["options"]["regions"]}
    cluster_id = api.create_cluster(BODY)["kubernetes_cluster"]["id"]
    cluster = running(official, cluster_id)
    pool = cluster["node_pools"][0]
    assert api.list_clusters(per_page=1)["meta"]["total"] == 1
    kubeconfig = tmp_path / "kubeconfig"
    # It reads no YAML, the real API's neither: https://github.com/digitalocean/pydo/issues/264
    with pytest.raises(DecodeError):
        api.get_kubeconfig(cluster_id)
    path = f"{twin.endpoint}/v2/kubernetes/clusters/{cluster_id}/kubeconfig"
    kubeconfig.write_text(requests.get(path, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60).text)
    assert nodes(kubeconfig) == {node["name"] for node in pool["nodes"]}
    assert api.get_credentials(cluster_id, expiry_seconds=60)["server"] == cluster["endpoint"]
    slugs = [offer["slug"] for offer in official.one_clicks.list(type="kubernetes")["1_clicks"]]
    official.one_clicks.install_kubernetes({"addon_slugs": slugs[:1], "cluster_uuid": cluster_id})

    added = api.add_node_pool(cluster_id, {"name": "more", "size": "s-1vcpu-2gb", "count": 1})["node_pool"]
    scaled = api.update_node_pool(cluster_id, added["id"], {"name": "more", "count": 2})["node_pool"]
    assert api.get_node_pool(cluster_id, added["id"])["node_pool"]["count"] == 2
    assert len(api.list_node_pools(cluster_id)["node_pools"]) == 2
    four = {node["name"] for node in [*pool["nodes"], *scaled["nodes"]]}
    eventually(lambda: nodes(kubeconfig), lambda found: found == four)
    api.delete_node_pool(cluster_id, added["id"])
    assert api.update_cluster(cluster_id, {"name": "renamed"})["kubernetes_cluster"]["name"] == "renamed"

    twin.process.kill()
    assert twin.process.wait(60) == -signal.SIGKILL
    twin.start()
    assert running(official, cluster_id) | {"name": "pydo", "updated_at": ""} == cluster | {"updated_at": ""}
    eventually(lambda: nodes(kubeconfig), lambda found: found == {node["name"] for node in pool["nodes"]})
    api.delete_cluster(cluster_id)
    assert api.list_clusters()["kubernetes_clusters"] == []
    eventually(lambda: not list((twin.folder / ".tideflow" / "twin" / "clusters").iterdir()))
    assert calls == {
        "account_get",
        "oneClicks_install_kubernetes",
        "oneClicks_list",
        *(f"kubernetes_{what}_cluster" for what in ("create", "delete", "get", "update")),
        *(f"kubernetes_{what}_nodePool" for what in ("add", "delete", "get", "update")),
        *(f"kubernetes_list_{what}" for what in ("clusters", "nodePools", "options")),
        *(f"kubernetes_get_{what}" for what in ("credentials", "kubeconfig")),
    }


def test_pydo_understands_refusals(official: Any, twin: Twin) -> None:
    """Unknown things, bodies that cannot be, and a wrong token."""
    assert official.kubernetes.get_cluster(str(uuid.uuid4()))["id"] == "not_found"
    body = BODY | {"node_pools": [{"name": "pool", "size": "huge", "count": 1}]}
    with pytest.raises(HttpResponseError, match=r"node_pools\.0\.size is not one of those") as refused:
        official.kubernetes.create_cluster(body)
    assert refused.value.status_code == 422
    with pydo_client(twin, "canary-wrong-token", set()) as other, pytest.raises(ClientAuthenticationError):
        other.account.get()


def balancers(twin: Twin) -> list[str]:
    """Return the ids of all load balancers."""
    found = requests.get(
        f"{twin.endpoint}/v2/load_balancers", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60
    ).json()
    return [balancer["id"] for balancer in found["load_balancers"]]


def test_our_client_sends_what_the_description_allows(
    twin: Twin, ours: DigitalOcean, calls: set[str]
) -> None:
    """With each of its methods; one that this does not call fails the test."""
    made = ours.create_cluster(
        name="ours",
        region="nyc3",
        version="1.34",
        size="s-2vcpu-4gb",
        count=1,
        fields={"tags": ["tideflow"], "maintenance_policy": {"day": "sunday", "start_time": "02:00"}},
        pool={"auto_scale": True, "min_nodes": 1, "max_nodes": 3},
    )
    used: dict[str, Callable[[], object]] = {
        "account": ours.account,
        "options": ours.options,
        "clusters": ours.clusters,
        "create_cluster": lambda: None,
        "one_clicks": ours.one_clicks,
        "install_one_clicks": lambda: ours.install_one_clicks(made.id, ours.one_clicks()),
        "cluster": lambda: eventually(lambda: ours.cluster(made.id).state, lambda state: state == "running"),
        "load_balancer": lambda: ours.load_balancer(eventually(lambda: balancers(twin))[0]),
        "update_cluster": lambda: ours.update_cluster(made.id, name=made.name, fields={"ha": True}),
        "update_node_pool": lambda: ours.update_node_pool(
            made.id, made.node_pools[0].id, name=made.node_pools[0].name, count=2
        ),
        "credentials": lambda: ours.credentials(made.id, expiry_seconds=60),
        "delete_cluster": lambda: ours.delete_cluster(made.id),
    }
    methods = {
        name
        for name, _ in inspect.getmembers(DigitalOcean, inspect.isfunction)
        if name in vars(DigitalOcean) and not name.startswith("_")
    }
    own = {name for name in used if name in vars(DigitalOcean)}
    assert own == methods - {"droplets", "sizes"}  # which the description leaves out
    for use in used.values():
        use()
    assert len(calls) == len(used)


def test_our_client_reads_refusals(ours: DigitalOcean) -> None:
    """With their status, id and request id."""
    with pytest.raises(DigitalOceanError) as refused:
        ours.cluster(str(uuid.uuid4()))
    assert (refused.value.status, refused.value.id) == (404, "not_found")
    assert refused.value.request_id


def test_what_keeps_a_twin_from_starting_is_one_line(twin: Twin, tmp_path: Path) -> None:
    """A port or a folder that another twin has, and a state that cannot be read; the other goes on."""
    assert f"port {twin.port} is in use by another program" in twin.fails("--folder", str(tmp_path))
    assert "another twin serves .tideflow/twin" in twin.fails()
    (tmp_path / "state.json").write_text('{"clusters": [')
    elsewhere = "--folder", str(tmp_path), "--port", str(free_port())
    assert f"cannot be read from {tmp_path}/state.json" in twin.fails(*elsewhere)
    assert requests.get(f"{twin.endpoint}/v2/account", timeout=60).status_code == 401
