"""1-clicks and the load balancer, as a rehearsal's cluster has them: installed, broken, repaired, set."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from tests.integration.deploying import Checkout
from tests.integration.planes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("binaries")

FAST = ("--data", "rehearsal_pod_ready_seconds=[0.0, 1.0]", "--data", "rehearsal_speed=200")
STEP = "deploys/load_balancer.py"
NO_CHANGE = "] No changes"
SUCCESS = "] Success"
NGINX = ("-n", "ingress-nginx")
CONTROLLER = "ingress-nginx-controller"
ANNOTATION = "service.beta.kubernetes.io/do-loadbalancer-"
BALANCING = (
    *("--data", "load_balancer_size=2"),
    *("--data", "load_balancer_proxy_protocol=true"),
    *("--data", "load_balancer_idle_seconds=300"),
    *("--data", 'load_balancer_sources=["192.0.2.0/24"]'),
)
POLICY = ("networkpolicy", "-n", "istio-system", "allow-edge-to-istio-ingressgateway")
CHANGES = (
    "type: not set → REGIONAL",
    "size-unit: not set → 2",
    "allow-rules: not set → cidr:192.0.2.0/24",
    "hostname: not set → kubeflow.localhost",
    "enable-proxy-protocol: not set → true",
    "http-idle-timeout-seconds: not set → 300",
    "nginx's use-proxy-protocol: not set → true",
)


class Platform(Checkout):
    """A checkout whose rehearsal is fast, and fails as it is told to."""

    def step(self, *arguments: str, check: bool = True) -> str:
        """Run steps, by default the one with the 1-clicks."""
        steps = () if any(argument.startswith("deploys/") for argument in arguments) else (STEP,)
        return self.pyinfra(*steps, *arguments, *FAST, check=check)

    def dry(self, *arguments: str) -> str:
        """Return what the step would do."""
        done = self.run("pyinfra", "--dry", "inventory.py", STEP, *arguments, *FAST)
        return done.stdout + done.stderr

    def faults(self, **faults: Any) -> None:
        """Have the twin fail in these ways, and no others."""
        folder = self.platform / "rehearsal"
        port = json.loads((folder / "settings.json").read_text())["port"]
        token = (folder / "token").read_text().strip()
        requests.put(
            f"http://127.0.0.1:{port}/rehearsal/faults",
            json=faults,
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        ).raise_for_status()

    def ordered(self) -> int:
        """Return how often 1-clicks have been ordered."""
        return (self.platform / "rehearsal" / "twin.log").read_text().count("POST /v2/1-clicks/kubernetes")

    def releases(self) -> dict[str, str]:
        """Return the status of each release's newest revision."""
        found = self.get("secrets", "--all-namespaces", "-l", "owner=helm")["items"]
        labels = sorted((each["metadata"]["labels"] for each in found), key=lambda each: int(each["version"]))
        return {each["name"]: each["status"] for each in labels}

    def names(self, kind: str, *arguments: str) -> list[str]:
        """Return the names of all objects of a kind."""
        return [each["metadata"]["name"] for each in self.get(kind, *arguments)["items"]]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Return a platform that has its cluster, and 1-clicks."""
    made = Platform.make(tmp_path_factory.mktemp("addons"))
    try:
        printed = made.step("deploys/cluster.py", STEP)
        assert printed.count(SUCCESS) == 2
        yield made
    finally:
        made.stop()


@pytest.fixture(autouse=True)
def _whole(request: pytest.FixtureRequest) -> None:
    """Begin each test with nothing broken."""
    found: Platform = request.getfixturevalue("platform")
    found.faults()


def test_both_are_there_and_a_rerun_changes_nothing(platform: Platform) -> None:
    """Deployed and ready; metrics are served; no order is left; and each was ordered once."""
    assert platform.releases() == {"ingress-nginx": "deployed", "metrics-server": "deployed"}
    assert "data" not in platform.get("configmap", "-n", "tideflow", "addons")
    assert len(platform.kubectl("top", "nodes", "--no-headers").splitlines()) == 3
    ordered, mark = platform.ordered(), platform.mark()
    assert platform.step().count(NO_CHANGE) == 2
    assert platform.writes(mark) == []
    assert platform.ordered() == ordered == 1


def test_all_unknown_slugs_are_named_at_once_and_nothing_is_ordered(platform: Platform) -> None:
    """With what there is instead."""
    ordered = platform.ordered()
    printed = platform.step("--data", 'addons=["ingress-nginx", "metric-server", "foo"]', check=False)
    assert "does not offer: metric-server, foo; it offers: ingress-nginx, metrics-server" in printed
    printed = platform.step("--data", 'addons=["ingress-nginx", "cert-manager"]', check=False)
    assert "the 1-click cert-manager would be in the namespace of the one that Kubeflow brings" in printed
    printed = platform.step("--data", 'addons=["metrics-server"]', check=False)
    assert 'the setting edge is "nginx", and the setting addons lacks ingress-nginx' in printed
    assert platform.ordered() == ordered


def test_what_is_gone_is_put_back_even_if_the_answer_is_lost(platform: Platform) -> None:
    """Of nginx its Deployment, class and Service; --dry names them; it is ordered once."""
    for kind, *where in (
        ("deployment", *NGINX, CONTROLLER),
        ("service", *NGINX, CONTROLLER),
        ("ingressclass", "nginx"),
    ):
        platform.kubectl("delete", kind, *where)
    planned = platform.dry()
    gone = planned.partition("would install the 1-click ingress-nginx again: ")[2].splitlines()[0]
    assert gone.endswith(" are gone")
    for words in (f"Deployment ingress-nginx/{CONTROLLER}", f"Service ingress-nginx/{CONTROLLER}"):
        assert words in gone
    assert "IngressClass nginx" in gone
    assert "metrics-server" not in planned
    ordered = platform.ordered()
    platform.faults(rules=[{"method": "POST", "path": "/v2/1-clicks/*", "cut": True, "carried_out": True}])
    printed = platform.step()
    assert "it may have begun, which the cluster will tell" in printed
    assert SUCCESS in printed
    assert platform.ordered() == ordered + 1
    assert platform.step().count(NO_CHANGE) == 2


def test_what_was_scaled_to_nothing_is_put_back(platform: Platform) -> None:
    """Helm makes the replicas what they were, as it makes anew what is gone."""
    platform.kubectl("scale", "deployment", *NGINX, CONTROLLER, "--replicas=0")
    again = f"would install the 1-click ingress-nginx again: Deployment ingress-nginx/{CONTROLLER} has 0"
    assert again in platform.dry()
    assert SUCCESS in platform.step()
    assert platform.get("deployment", *NGINX, CONTROLLER)["status"]["readyReplicas"] == 2
    assert platform.step().count(NO_CHANGE) == 2


def test_a_release_without_its_record_is_taken_over(platform: Platform) -> None:
    """What it made says whose it is."""
    platform.kubectl("delete", "secret", "-n", "metrics-server", "-l", "owner=helm")
    assert "would install the 1-click metrics-server" in platform.dry()
    before = platform.get("deployment", "-n", "metrics-server", "metrics-server")["metadata"]["uid"]
    assert SUCCESS in platform.step()
    assert platform.releases()["metrics-server"] == "deployed"
    assert platform.get("deployment", "-n", "metrics-server", "metrics-server")["metadata"]["uid"] == before


def test_what_somebody_else_has_is_named_and_nothing_is_ordered(platform: Platform) -> None:
    """Helm would give up over it without a word."""
    platform.kubectl("delete", "secret", "-n", "metrics-server", "-l", "owner=helm")
    release = ("apiservice", "v1beta1.metrics.k8s.io", "meta.helm.sh/release-name")
    platform.kubectl("annotate", *release[:2], f"{release[2]}=mine", "--overwrite")
    ordered = platform.ordered()
    printed = platform.step(check=False)
    assert "APIService v1beta1.metrics.k8s.io is there and not of a release metrics-server" in printed
    assert "take metrics-server out of the setting addons" in printed
    assert platform.ordered() == ordered
    assert platform.step("--data", 'addons=["ingress-nginx"]').count(NO_CHANGE) == 2
    platform.kubectl("annotate", *release[:2], f"{release[2]}=metrics-server", "--overwrite")
    assert SUCCESS in platform.step()


@pytest.mark.parametrize("status", ["pending-install", "uninstalling"])
def test_an_installation_that_was_cut_off_is_begun_anew(platform: Platform, status: str) -> None:
    """Helm would refuse to go on, so that its record goes once nobody can be at work any more."""
    name = max(platform.names("secrets", "-n", "metrics-server", "-l", "owner=helm"))
    platform.kubectl("label", "secret", "-n", "metrics-server", name, "--overwrite", f"status={status}")
    assert f"would wait for the 1-click metrics-server: its release is {status}" in platform.dry()
    printed = platform.step()
    assert f"its release has been {status} for" in printed
    assert SUCCESS in printed
    assert platform.releases()["metrics-server"] == "deployed"


def test_why_there_is_no_address_is_told_and_the_rerun_repairs(platform: Platform) -> None:
    """Helm takes the installation back; the reason is in what the cloud's controller tells the Service."""
    platform.faults(no_balancers="the limit of 3 is reached")
    platform.kubectl("delete", "namespace", "ingress-nginx")
    printed = platform.step(check=False)
    assert "the 1-click ingress-nginx was not installed: its installation was rolled back (Service" in printed
    assert "the limit of 3 is reached); run this step again" in printed
    assert "Traceback" not in printed
    assert platform.names("services", *NGINX) == []
    platform.faults()
    printed = platform.step()
    assert SUCCESS in printed
    assert "the limit" not in printed
    assert platform.step().count(NO_CHANGE) == 2


def test_an_installation_of_which_nothing_came_is_told(platform: Platform) -> None:
    """After as long as one may take; nothing but a namespace is there."""
    platform.kubectl("delete", "namespace", "ingress-nginx")
    platform.faults(rolled_back=["ingress-nginx"])
    printed = platform.step(check=False)
    assert "was not installed: nothing came of its installation, or it was rolled back" in printed
    platform.faults()
    assert SUCCESS in platform.step()


def test_a_killed_run_is_gone_on_with_and_orders_nothing_twice(platform: Platform) -> None:
    """The order is noted in the cluster before it is made."""
    platform.kubectl("delete", "namespace", "ingress-nginx")
    ordered = platform.ordered()
    process = platform.begin("pyinfra", "-y", "inventory.py", STEP, *FAST)
    eventually(platform.ordered, lambda number: number > ordered)
    process.kill()
    process.communicate()
    platform.step()
    assert platform.ordered() == ordered + 1
    assert platform.releases()["ingress-nginx"] == "deployed"


def test_a_refused_order_is_made_again_by_the_next_run(platform: Platform) -> None:
    """It is not taken for one that is on its way."""
    platform.kubectl("delete", "deployment", "-n", "metrics-server", "metrics-server")
    platform.faults(rules=[{"method": "POST", "path": "/v2/1-clicks/*", "status": 422, "message": "no"}])
    printed = platform.step(check=False)
    assert "422" in printed
    started = time.monotonic()
    assert SUCCESS in platform.step()
    assert time.monotonic() - started < 15


def proxied(platform: Platform) -> str:
    """Return what nginx expects."""
    found: str = (platform.get("configmap", *NGINX, CONTROLLER).get("data") or {}).get(
        "use-proxy-protocol", ""
    )
    return found


def balancing(platform: Platform) -> dict[str, str]:
    """Return what the load balancer is told to be like."""
    found = platform.get("service", *NGINX, CONTROLLER)["metadata"].get("annotations") or {}
    return {
        name.removeprefix(ANNOTATION): value for name, value in found.items() if name.startswith(ANNOTATION)
    }


def test_the_load_balancer_is_set_and_what_is_set_no_more_is_taken_back(platform: Platform) -> None:
    """Each change with both values, nginx after the load balancer; what others have set stays."""
    platform.kubectl("annotate", "service", *NGINX, CONTROLLER, f"{ANNOTATION}algorithm=least_connections")
    address = platform.get("service", *NGINX, CONTROLLER)["status"]["loadBalancer"]["ingress"][0]["ip"]
    before = balancing(platform)
    planned = platform.dry(*BALANCING)
    assert [f"would change the load balancer: {words}" in planned for words in CHANGES] == [True] * len(
        CHANGES
    )
    assert balancing(platform) == before
    mark = platform.mark()
    printed = platform.step(*BALANCING)
    assert [f"] changed {words}" in printed for words in CHANGES] == [True] * len(CHANGES)
    written = [event["objectRef"]["resource"] for event in platform.writes(mark)]
    assert written == ["services", "configmaps"]
    assert balancing(platform) == before | {
        "type": "REGIONAL",
        "size-unit": "2",
        "allow-rules": "cidr:192.0.2.0/24",
        "hostname": "kubeflow.localhost",
        "enable-proxy-protocol": "true",
        "http-idle-timeout-seconds": "300",
    }
    assert proxied(platform) == "true"
    assert platform.step(*BALANCING).count(NO_CHANGE) == 2
    # The Service has the hostname now, and what DNS has to know is still told.
    where = ("service", *NGINX, CONTROLLER)
    eventually(
        lambda: platform.get(*where)["status"]["loadBalancer"]["ingress"][0],
        lambda entry: "hostname" in entry,
    )
    assert f"Address     {address} " in platform.step("deploys/status.py", *BALANCING)

    planned = platform.dry()
    assert "would change the load balancer: size-unit: 2 → not set" in planned
    assert "algorithm" not in planned
    platform.step()
    assert balancing(platform) == before
    assert proxied(platform) == ""
    assert platform.step().count(NO_CHANGE) == 2


def test_a_run_that_ended_between_load_balancer_and_nginx_is_gone_on_with(platform: Platform) -> None:
    """Half of a change is seen as what it is."""
    only = ("--data", "load_balancer_proxy_protocol=true")
    platform.step(*only)
    platform.kubectl(
        "patch", "configmap", *NGINX, CONTROLLER, "--type=json", "-p",
        '[{"op": "remove", "path": "/data/use-proxy-protocol"}]',
    )  # fmt: skip
    printed = platform.step(*only)
    assert "] changed nginx's use-proxy-protocol: not set → true" in printed
    assert "enable-proxy-protocol" not in printed
    assert proxied(platform) == "true"
    platform.step()


def test_the_gateway_is_the_edge_where_it_is_asked_for_or_nginx_cannot_be_had(platform: Platform) -> None:
    """Its Service gets the load balancer with its settings; our Ingress goes; and back again."""
    platform.step("deploys/all.py")
    assert platform.names("ingress", "--all-namespaces") == ["kubeflow"]
    assert "ingress-nginx" in str(platform.get(*POLICY)["spec"]["ingress"])
    istio = ("--data", "edge=istio", "--data", "load_balancer_size=3")
    printed = platform.step("deploys/all.py", *istio)
    assert "run: helm uninstall ingress-nginx --namespace ingress-nginx" in printed
    gateway = ("service", "-n", "istio-system", "istio-ingressgateway")
    live = platform.get(*gateway)
    assert live["spec"]["type"] == "LoadBalancer"
    assert live["metadata"]["annotations"][f"{ANNOTATION}size-unit"] == "3"
    assert live["metadata"]["annotations"][f"{ANNOTATION}type"] == "REGIONAL"  # 80 is 8080 in its pods
    assert "from" not in platform.get(*POLICY)["spec"]["ingress"][0]  # nodes hand on what anybody sends
    (entry,) = live["status"]["loadBalancer"]["ingress"]
    assert f"Address     {entry['ip']} " in printed
    assert platform.names("ingress", "--all-namespaces") == []
    mark = platform.mark()
    platform.step("deploys/all.py", *istio)
    assert platform.writes(mark) == []
    printed = platform.step(
        "deploys/kubeflow_base.py", *istio, "--data", "load_balancer_proxy_protocol=true", check=False
    )
    assert "load_balancer_proxy_protocol is for nginx" in printed

    platform.faults(withdrawn=["ingress-nginx"])
    platform.step("deploys/all.py")  # what is installed stays the edge
    assert platform.names("ingress", "--all-namespaces") == ["kubeflow"]
    live = platform.get(*gateway)
    assert live["spec"]["type"] == "ClusterIP"
    assert f"{ANNOTATION}size-unit" not in (live["metadata"].get("annotations") or {})

    platform.kubectl("delete", "namespace", "ingress-nginx")
    printed = platform.step("deploys/all.py")
    assert (
        "DigitalOcean no longer offers ingress-nginx, so Istio's own gateway gets the load balancer"
        in printed
    )
    assert platform.get(*gateway)["spec"]["type"] == "LoadBalancer"
    assert platform.names("ingress", "--all-namespaces") == []
