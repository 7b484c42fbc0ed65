"""The last step: what it tells of a rehearsal's gateway, and that the step it names puts it right."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
from typing import TYPE_CHECKING

import pytest
from tests.integration.deploying import Checkout
from tests.integration.planes import eventually

from tideflow.clients.digitalocean import DigitalOcean
from tideflow.clients.domains import Record
from tideflow.rehearsal.background import Rehearsal
from tideflow.rehearsal.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("binaries", "auth_proxy")

HOST = "kubeflow.localhost"
OPEN = "leads to Kubeflow's login"
QUICK = "timeout_minutes=0.1"  # what does not pass by itself is not waited for any longer
EDGE = ("-n", "istio-system")
PROXY = ("scale", "-n", "oauth2-proxy", "deployment/oauth2-proxy")
DEX = ("scale", "-n", "auth", "deployment/dex")
CLOSED = ("delete", "networkpolicy", *EDGE, "allow-edge-to-istio-ingressgateway")
NO_POD = ("scale", *EDGE, "deployment/istio-ingressgateway", "--replicas=0")
NO_GATEWAY = ("delete", "gateway", "-n", "kubeflow", "--all")
PARAMETERS = "oauth2-proxy-parameters-sample"
SECRET = "oauth2-proxy-sample"
DAMAGES = {
    "nginx": [
        (CLOSED, "no NetworkPolicy lets it in (504)", "kubeflow_base"),
        (NO_POD, "no pod of Istio's gateway is ready (503)", "kubeflow_base"),
        (NO_GATEWAY, "no pod of Istio's gateway answers nginx as it should (502)", "kubeflow_base"),
        ((*PROXY, "--replicas=0"), "the gateway asks oauth2-proxy in vain", "kubeflow_base"),
        ((*DEX, "--replicas=0"), "Dex does not answer the gateway (503)", "kubeflow_base"),
        (("delete", "ingress", *EDGE, "kubeflow"), "nginx presents its own fake", "ingress"),
    ],
    "istio": [
        (CLOSED, "gets through to no pod of Istio's gateway", "kubeflow_base"),
        (NO_POD, "gets through to no pod of Istio's gateway", "kubeflow_base"),
        (NO_GATEWAY, "or the Gateway is not as made", "kubeflow_base"),
    ],
}
"""What is done to the objects with each edge, what the step tells of it, and which step it names."""

DENYING = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: somebodys, namespace: istio-system}
spec:
  action: DENY
  selector: {matchLabels: {app: istio-ingressgateway}}
  rules: [{to: [{operation: {paths: ["/dex/*"]}}]}]
"""
CHANGING = ("kubeflow_base", "ingress", "dns", "certificate")

NGINX = pytest.mark.parametrize("site", ["nginx"], indirect=True)
"""For what has nothing to do with the edge."""


class Site:
    """A checkout whose platform is deployed."""

    def __init__(self, checkout: Checkout, edge: str, printed: str) -> None:
        self.checkout = checkout
        self.edge = edge
        self.printed = printed
        found = re.search(rf"https://{re.escape(HOST)}:(\d+) {OPEN}", printed)
        assert found is not None, printed
        self.port = found[1]

    def run(self, *steps: str, settings: tuple[str, ...] = (), how: str = "-y") -> tuple[int, str]:
        """Run steps, and return the exit status and what was printed, without the prefixes."""
        files = [f"deploys/{step}.py" for step in steps]
        data = [f"--data={setting}" for setting in settings]
        done = self.checkout.run("pyinfra", how, "inventory.py", *files, *data, check=False)
        printed = (done.stdout + done.stderr).replace("[@rehearsal/ml-platform] ", "")
        assert "Traceback" not in printed
        assert "defect" not in printed
        return done.returncode, printed

    def is_open(self, *settings: str, scheme: str = "https", host: str = HOST) -> str:
        """See that the step finds all right and changes nothing; returns what was printed."""
        mark = self.checkout.mark()
        status, printed = self.run("reachable", settings=settings)
        assert status == 0, printed
        assert f"{scheme}://{host}:{self.port} {OPEN}" in printed
        assert "No changes" in printed
        assert self.checkout.writes(mark) == []
        return printed

    def is_not(self, told: str, step: str, *settings: str) -> str:
        """See that the step tells what is wrong, with the step that helps, and fails."""
        status, printed = self.run("reachable", settings=(QUICK, *settings))
        assert status == 1, printed
        (line,) = (line for line in printed.splitlines() if "is not as it should be" in line)
        assert told in line
        assert f"pyinfra -y inventory.py deploys/{step}.py" in line
        return line

    def api(self) -> DigitalOcean:
        """Return a client of the twin."""
        twin = Rehearsal(self.checkout.platform / "rehearsal")
        return DigitalOcean(twin.token, endpoint=twin.endpoint)

    def restart(self, name: str) -> None:
        """Replace the pods of a Deployment that has its own namespace."""
        self.checkout.kubectl("rollout", "restart", "-n", name, f"deployment/{name}")
        self.checkout.kubectl("rollout", "status", "-n", name, f"deployment/{name}", "--timeout=60s")
        eventually(lambda: len(self._pods(name)) == self._replicas(name))

    def _pods(self, name: str) -> list[object]:
        return list(self.checkout.get("pods", "-n", name, "-l", f"app.kubernetes.io/name={name}")["items"])

    def _replicas(self, name: str) -> int:
        return int(self.checkout.get("deployment", "-n", name, name)["spec"]["replicas"])


@pytest.fixture(scope="module", params=["nginx", "istio"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Deploy everything once with each edge."""
    checkout = Checkout.make(tmp_path_factory.mktemp(request.param))
    checkout.platform.mkdir(parents=True)
    (checkout.platform / "sample-base").touch()
    (checkout.folder / "group_data" / "ml-platform.py").write_text(f'edge = "{request.param}"\n')
    try:
        yield Site(checkout, request.param, checkout.pyinfra("deploys/all.py"))
    finally:
        checkout.stop()


def test_everything_ends_with_a_look_from_outside(site: Site) -> None:
    """What there is comes after it all the same; a rerun, of this alone too, changes nothing."""
    assert site.printed.index(OPEN) < site.printed.index("pods are running")
    assert "Starting operation: deploys/reachable.py" in site.printed
    site.is_open()
    mark = site.checkout.mark()
    status, printed = site.run("all")
    assert status == 0
    assert OPEN in printed
    assert "] Success" not in printed
    assert site.checkout.writes(mark) == []


@NGINX
def test_dry_says_what_will_be_looked_at(site: Site) -> None:
    """And does not look: what it found would be about what there is before."""
    status, printed = site.run("reachable", how="--dry")
    assert status == 0
    assert f"would look, when all is done, whether strangers get to the login at {HOST}" in printed
    assert OPEN not in printed


def test_the_step_that_is_named_puts_it_right(site: Site) -> None:
    """Whatever is missing."""
    for damage, told, step in DAMAGES[site.edge]:
        site.checkout.kubectl(*damage)
        site.is_not(told, step)
        status, printed = site.run(step)
        assert status == 0, printed
        site.is_open()


@NGINX
def test_halves_of_a_credential_that_differ_are_told(site: Site) -> None:
    """No stranger sees it before the password is right; the value is not told."""
    patch = json.dumps({"stringData": {"client-secret": "canary-secret"}})
    site.checkout.kubectl("patch", "secret", "-n", "oauth2-proxy", SECRET, "-p", patch)
    line = site.is_not("the Secrets auth/dex-oidc-client and oauth2-proxy/", "credentials")
    assert "canary" not in line
    assert site.run("credentials")[0] == 0
    site.is_open()


@NGINX
def test_a_cookie_that_is_not_secure_is_told(site: Site) -> None:
    """With what has to be restarted, since a ConfigMap that is put back changes nothing by itself."""
    patch = json.dumps({"data": {"FORCE_HTTPS": "false"}})
    site.checkout.kubectl("patch", "configmap", "-n", "oauth2-proxy", PARAMETERS, "-p", patch)
    site.restart("oauth2-proxy")
    line = site.is_not("FORCE_HTTPS of oauth2-proxy does not go with the setting tls", "kubeflow_base")
    assert "kubectl rollout restart -n oauth2-proxy deployment/oauth2-proxy" in line
    assert site.run("kubeflow_base")[0] == 0
    site.restart("oauth2-proxy")
    site.is_open()


@NGINX
def test_a_policy_that_somebody_added_is_told_at_the_end_of_everything(site: Site) -> None:
    """No step knows of it; the run fails, and says what there is all the same."""
    (site.checkout.folder / "denying.yaml").write_text(DENYING)
    site.checkout.kubectl("apply", "-f", "denying.yaml")
    status, printed = site.run("all", settings=(QUICK,))
    assert status == 1
    assert "the mesh lets nobody through to /dex/auth (RBAC: access denied)" in printed
    assert "kubectl get authorizationpolicies --all-namespaces" in printed
    assert "pods are running" in printed
    site.checkout.kubectl("delete", "-f", "denying.yaml")
    site.is_open()


@NGINX
def test_what_opens_to_credentials_that_are_none_is_told(site: Site) -> None:
    """oauth2-proxy is not asked about whoever has some, so it takes the other policy to keep them out."""
    policy = ("authorizationpolicy", "-n", "istio-system", "istio-ingressgateway-require-jwt")
    site.checkout.kubectl("delete", *policy)
    status, printed = site.run("reachable", settings=(QUICK,))
    assert status == 1
    assert "Kubeflow is shown to anybody" in printed
    assert "deploys/kubeflow_base.py" in printed
    site.run("kubeflow_base")
    site.is_open()


@NGINX
def test_a_certificate_of_somebody_elses_is_told(site: Site) -> None:
    """With the name of who issued it, and with what has it issued anew."""
    certificate, key = Authority.new("Mallory").issue(HOST, dns_names=[HOST])
    encoded = {
        name: base64.b64encode(text.encode()).decode()
        for name, text in (("tls.crt", certificate), ("tls.key", key))
    }
    where = ("secret", "-n", "istio-system", "kubeflow-tls-self-signed")
    site.checkout.kubectl("patch", *where, "-p", json.dumps({"data": encoded}))
    line = site.is_not("the certificate is of Mallory, and not of the platform's own CA", "ingress")
    assert f"kubectl delete {' '.join(where)}" in line
    site.checkout.kubectl("delete", *where)
    site.is_open()


@NGINX
def test_a_rehearsal_whose_gateway_was_stopped_is_waited_for(site: Site) -> None:
    """Every run starts what does not run."""
    (file,) = site.checkout.platform.glob("rehearsal/clusters/*/stand-ins.pid")
    pid = int(re.findall(r"\d+", file.read_text())[0])
    os.kill(pid, signal.SIGKILL)
    site.is_open()


@pytest.mark.parametrize("mode", ["acme", "files", "off", "self-signed"])
def test_all_ways_to_a_certificate_are_known(site: Site, mode: str, tmp_path: Path) -> None:
    """Let's Encrypt's, as the rehearsal has it, too; one of a CA that no browser knows is no error."""
    settings: tuple[str, ...] = (f"tls={mode}",)
    if mode == "files":
        certificate, key = Authority.new("Our own CA").issue(HOST, dns_names=[HOST])
        for name, text in (("crt", certificate), ("key", key)):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o600)
        settings += (f"tls_certificate={tmp_path}/crt", f"tls_key={tmp_path}/key")
    status, printed = site.run(*CHANGING, "reachable", settings=settings)
    assert status == 0, printed
    printed = site.is_open(*settings, scheme="http" if mode == "off" else "https")
    assert ("browsers trust Our own CA" in printed) == (mode == "files")


@NGINX
def test_a_record_that_people_have_to_make_is_no_error(site: Site) -> None:
    """All else is looked at, at the load balancer's address; a record of ours that is missing is an error."""
    name = "ml.my-company.com"
    theirs = (f"hostname={name}", "tls=self-signed")
    status, printed = site.run(*CHANGING, "reachable", settings=theirs)
    assert status == 0, printed
    assert f"what is left to do: make the record {name}. 60 IN A 203.0.113." in printed
    assert f"https://{name}:{site.port} {OPEN}, at 127.0.0.1" in printed
    ours = (f"hostname={name}", "tls=self-signed", "dns_zone=my-company.com")
    site.is_not(f"the name does not lead here: {name} does not exist", "dns", *ours)
    status, printed = site.run("dns", settings=ours)
    assert status == 0, printed
    site.is_open(*ours, host=name)
    api = site.api()
    api.create_record("my-company.com", Record(type="AAAA", name=name, data="2001:db8::1", ttl=60))
    site.is_not(f"the name leads elsewhere too: {name} is 2001:db8::1", "dns", *ours)
    status, printed = site.run("reachable", settings=theirs)
    assert status == 0, printed
    assert f"what is left to do: delete the other record, as the name leads elsewhere too: {name}" in printed
    status, printed = site.run("dns", settings=(*ours, "dns_overwrite=true"))
    assert status == 0, printed
    site.is_open(*ours, host=name)
    site.run(*CHANGING)
    site.is_open()


@NGINX
def test_a_cluster_that_a_kubeconfig_leads_to_is_looked_at_too(site: Site) -> None:
    """Whatever made it, with a record that is its people's to make."""
    folder = site.checkout.folder
    rehearsed = (folder / "inventory.py").read_text()
    own = f'hostname = "{HOST}"\nemail = "ada@example.org"\ntls = "self-signed"\nedge = "{site.edge}"\n'
    (folder / "group_data" / "kubeconfig.py").write_text(own)
    (folder / "inventory.py").write_text('platforms = ["@kubeconfig/ml-platform"]\n')
    try:
        kubeconfig = str(site.checkout.platform / "kubeconfig")
        printed = site.checkout.pyinfra("deploys/reachable.py", KUBECONFIG=kubeconfig)
        # With the other edge there is no load balancer whose address is known: the name is all there is.
        other = ("edge=istio", "hostname=ml.invalid", QUICK)
        alone = site.checkout.pyinfra(
            "deploys/reachable.py", *(f"--data={each}" for each in other), KUBECONFIG=kubeconfig
        )
    finally:
        (folder / "inventory.py").write_text(rehearsed)
        (folder / "group_data" / "kubeconfig.py").unlink()
    assert f"https://{HOST}:{site.port} {OPEN}" in printed
    assert "what is left to do: make the record: ml.invalid is not found; look again: " in alone
    assert OPEN not in alone


def test_of_what_is_not_there_only_what_to_run_first_is_said(checkout: Checkout) -> None:
    """And a first --dry announces the look."""
    done = checkout.run("pyinfra", "-y", "inventory.py", "deploys/reachable.py", check=False)
    assert done.returncode == 1
    assert "run first: " in done.stderr
    assert "deploys/cluster.py" in done.stderr
    (checkout.platform / "sample-base").touch()
    done = checkout.run("pyinfra", "--dry", "inventory.py", "deploys/all.py")
    assert f"would look, when all is done, whether strangers get to the login at {HOST}" in done.stderr
