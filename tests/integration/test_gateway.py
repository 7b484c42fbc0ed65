"""The gateway on a real control plane: a login as people do it, and one that fails for each wrong object."""

from __future__ import annotations

import base64
import os
import signal
import stat
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from tests.integration import gateways
from tests.integration.gateways import AUTH_PROXY, DEX, EMAIL, HOST, INGRESS, PASSWORDS, POLICY
from tests.integration.logging_in import SESSION, welcome
from tests.integration.planes import eventually

from tideflow.errors import KubernetesError
from tideflow.rehearsal.certificates import Authority
from tideflow.rehearsal.processes import Background

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.gateways import Site

GATEWAY = "/apis/networking.istio.io/v1beta1/namespaces/kubeflow/gateways/kubeflow-gateway"
SECRETS = "/api/v1/namespaces/oauth2-proxy/secrets"
PARAMETERS = "/api/v1/namespaces/oauth2-proxy/configmaps"


@pytest.fixture(scope="module")
def site(binaries: Path, auth_proxy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield a cluster that people log in to."""
    assert auth_proxy.exists()
    with gateways.running(tmp_path_factory.mktemp("gateway"), binaries) as site:
        yield site


def process(site: Site) -> Background:
    """Return the process of oauth2-proxy."""
    return Background(site.plane.control_plane.folder, "oauth2-proxy")


def status(site: Site, path: str = "/") -> int:
    """Return the status of an answer to who has no session."""
    return site.visitor().get(path).status_code


def put_back(site: Site, body: dict[str, Any], path: str) -> None:
    """Have an object there once more."""
    kept = {key: value for key, value in body.items() if key != "status"}
    for field in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
        kept["metadata"].pop(field, None)
    site.cluster.post(path.rpartition("/")[0], kept)


def test_people_get_in_and_are_known_behind_the_gateway(site: Site) -> None:
    """Each step of the login is looked at; Istio adds who it is to what the dashboard gets."""
    visitor = site.login()
    told = welcome(visitor, EMAIL)
    assert told["service"] == "centraldashboard.kubeflow"
    assert told["headers"]["X-Forwarded-Host"] == f"{HOST}:{site.address.rpartition(':')[2]}"
    cookie = visitor.cookie(SESSION)
    assert cookie is not None
    assert not cookie.secure
    # Nobody can say of himself who he is.
    spoofed = visitor.get("/", headers={"Accept": "application/json", "kubeflow-userid": "other@example.org"})
    assert spoofed.json()["headers"]["kubeflow-userid"] == EMAIL


def test_other_passwords_do_not_get_in(site: Site) -> None:
    """Neither the one that Kubeflow ships, nor none."""
    assert site.refuses("12341234")
    assert site.refuses("")


def test_a_token_that_is_not_dexs_does_not_get_in(site: Site) -> None:
    """Whether it is anybody's, or is no token at all."""
    anybodys = base64.urlsafe_b64encode(b'{"iss": "https://example.org"}').decode()
    for token in ("x", "e30.e30.e30", f"e30.{anybodys}.e30"):
        answer = site.visitor().get("/", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


def test_without_its_network_policy_a_request_times_out(site: Site) -> None:
    """As nginx reports it, after three tries of a second (five, unless an annotation says less)."""
    site.cluster.delete(POLICY)
    eventually(lambda: status(site), lambda found: found == 504)
    before = time.monotonic()
    assert status(site) == 504
    assert 3 <= time.monotonic() - before < 6
    site.cluster.apply(POLICY, gateways.policy(), field_manager="tests")
    eventually(lambda: status(site), lambda found: found == 403)


def test_dex_knows_a_new_password_once_it_has_been_restarted(site: Site) -> None:
    """The Secret alone changes nothing; afterwards the old one is refused."""
    site.set_secret(PASSWORDS, DEX_USER_PASSWORD=gateways.hashed("another password"))
    time.sleep(1)
    site.login()
    site.restart(DEX)
    eventually(lambda: site.refuses(gateways.PASSWORD))
    site.login("another password")
    site.set_secret(PASSWORDS, DEX_USER_PASSWORD=gateways.hashed(gateways.PASSWORD))
    site.restart(DEX)
    eventually(lambda: site.refuses("another password"))


def test_a_session_ends_with_the_cookie_secret(site: Site) -> None:
    """Once oauth2-proxy has been restarted, and not before."""
    visitor = site.login()
    path = f"{SECRETS}/{site.named('Secret', 'oauth2-proxy', 'oauth2-proxy')}"
    site.set_secret(path, **{"cookie-secret": "0123456789abcdef0123456789abcdef"})
    time.sleep(1)
    welcome(visitor, EMAIL)
    site.restart(AUTH_PROXY)
    eventually(lambda: visitor.get("/").status_code, lambda found: found == 403)
    site.login()


def test_a_session_outlives_a_restart_with_the_same_secrets(site: Site) -> None:
    """Of Dex and of oauth2-proxy: neither keeps sessions itself."""
    visitor, was = site.login(), process(site).pid
    site.restart(AUTH_PROXY)
    eventually(lambda: process(site).pid, lambda pid: pid not in {None, was})
    site.restart(DEX)
    eventually(lambda: visitor.get("/").status_code, lambda found: found == 200)


def test_dex_and_oauth2_proxy_must_have_the_same_secret(site: Site) -> None:
    """With one half changed, nobody gets in: the code is not exchanged for a token."""
    path = f"{SECRETS}/{site.named('Secret', 'oauth2-proxy', 'oauth2-proxy')}"
    site.set_secret(path, **{"client-secret": "another"})
    site.restart(AUTH_PROXY)

    def outcome() -> str:
        try:
            site.login()
        except AssertionError as error:
            return str(error)
        return ""

    eventually(outcome, lambda found: "/oauth2/callback" in found)
    site.set_secret(path, **{"client-secret": site.secret})
    site.restart(AUTH_PROXY)
    eventually(outcome, lambda found: not found)


def test_oauth2_proxy_is_started_again_when_it_dies(site: Site) -> None:
    """Whatever killed it."""
    pid = process(site).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: process(site).pid, lambda found: found not in {None, pid})
    eventually(lambda: status(site), lambda found: found == 403)
    site.login()


def test_with_tls_plain_http_is_sent_on_and_cookies_are_secure(site: Site, scratch: Path) -> None:
    """The certificate is that of the Ingress' Secret, at the same port; nginx's fake one for others."""
    authority = Authority.new("tests")
    trusted = scratch / "ca.crt"
    trusted.write_text(authority.certificate)
    certificate, key = authority.issue(HOST, dns_names=[HOST])
    tls = {"tls.crt": certificate, "tls.key": key}
    path = "/api/v1/namespaces/istio-system/secrets"
    site.cluster.post(
        path,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": "kubeflow-tls"},
            "stringData": tls,
        },
    )
    site.cluster.patch(INGRESS, {"spec": {"tls": [{"hosts": [HOST], "secretName": "kubeflow-tls"}]}})
    answer = eventually(lambda: site.visitor().get("/x?y"), lambda found: found.status_code == 308)
    assert answer.headers["Location"] == f"https://{HOST}:{site.address.rpartition(':')[2]}/x?y"
    parameters = f"{PARAMETERS}/{site.named('ConfigMap', 'oauth2-proxy', 'oauth2-proxy-parameters')}"
    site.cluster.patch(parameters, {"data": {"FORCE_HTTPS": "true"}})
    site.restart(AUTH_PROXY)

    def secure() -> bool:
        answer = site.visitor("https").get("/oauth2/start?rd=%2F")
        return answer.status_code == 302 and "; Secure" in answer.headers["Set-Cookie"]

    eventually(secure)
    cookie = site.login(scheme="https", trusted=trusted).cookie(SESSION)
    assert cookie is not None
    assert cookie.secure
    # A certificate of somebody else's is not presented.
    other, its_key = authority.issue("other.example.org", dns_names=["other.example.org"])
    site.set_secret(f"{path}/kubeflow-tls", **{"tls.crt": other, "tls.key": its_key})

    def untrusted() -> bool:
        try:
            site.visitor("https", trusted).get("/")
        except requests.exceptions.SSLError:
            return True
        return False

    eventually(untrusted)
    assert site.visitor("https").get("/").status_code == 403
    # Secure cookies are not sent over plain HTTP, so that nobody gets in that way.
    site.cluster.patch(INGRESS, {"spec": {"tls": None}})
    eventually(lambda: status(site), lambda found: found == 403)
    with pytest.raises(AssertionError, match="a Secure cookie is not sent back"):
        site.login()
    site.cluster.patch(parameters, {"data": {"FORCE_HTTPS": "false"}})
    site.restart(AUTH_PROXY)
    eventually(secure, lambda found: not found)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (INGRESS, 404),  # nginx's own
        (GATEWAY, 502),  # nothing listens
        ("/api/v1/namespaces/istio-system/services/istio-ingressgateway", 503),
        ("/api/v1/namespaces/istio-system/configmaps/istio", 403),
        ("/api/v1/namespaces/oauth2-proxy/services/oauth2-proxy", 403),
    ],
)
def test_what_is_missing_is_an_answer_as_on_a_real_cluster(site: Site, path: str, expected: int) -> None:
    """And all is well once it is there again."""
    body = site.cluster.get(path)
    site.cluster.delete(path)
    answer = eventually(lambda: site.visitor().get("/"), lambda found: "/oauth2/start" not in found.text)
    assert answer.status_code == expected
    put_back(site, body, path)
    eventually(lambda: "/oauth2/start" in site.visitor().get("/").text)


def test_a_service_without_pods_is_unavailable_to_who_has_logged_in(site: Site) -> None:
    """As Envoy says it; others do not even hear of it."""
    visitor = site.login()
    path = "/apis/apps/v1/namespaces/kubeflow/deployments/centraldashboard"
    site.cluster.patch(path, {"spec": {"replicas": 0}})
    answer = eventually(lambda: visitor.get("/"), lambda found: found.status_code == 503)
    assert answer.text == "no healthy upstream"
    assert status(site) == 403
    site.cluster.patch(path, {"spec": {"replicas": 1}})
    eventually(lambda: visitor.get("/").status_code, lambda found: found == 200)


def test_a_token_is_taken_only_from_the_issuer_that_istio_knows(site: Site) -> None:
    """Dex's issuer and that of the RequestAuthentication must match."""
    visitor = site.login()
    path = "/apis/security.istio.io/v1/namespaces/istio-system/requestauthentications/dex-jwt"
    rules = site.cluster.get(path)["spec"]["jwtRules"]
    site.cluster.patch(path, {"spec": {"jwtRules": [rules[0] | {"issuer": "https://example.org/dex"}]}})
    answer = eventually(lambda: visitor.get("/"), lambda found: found.status_code == 401)
    assert answer.text == "Jwt issuer is not configured"
    site.cluster.patch(path, {"spec": {"jwtRules": rules}})
    eventually(lambda: visitor.get("/").status_code, lambda found: found == 200)


def test_nginx_does_what_its_annotations_say(site: Site) -> None:
    """Bodies of a megabyte at most, and headers of its buffer's size, unless they say more."""
    visitor = site.login()
    body = b"x" * (2 * 1024**2)
    assert visitor.ask("POST", "/", data=body).status_code == 413
    settings = {"proxy-body-size": "0", "proxy-buffer-size": "1k"}
    site.cluster.apply(INGRESS, gateways.ingress(**settings), field_manager="tests", force=True)
    eventually(lambda: visitor.ask("POST", "/", data=body).status_code, lambda found: found == 200)

    def outcome() -> str:
        try:
            site.login()
        except AssertionError as error:
            return str(error)
        return ""

    assert "502" in outcome()  # the session's cookie is larger than that
    site.cluster.apply(INGRESS, gateways.ingress(), field_manager="tests", force=True)
    eventually(outcome, lambda found: not found)


def test_with_istio_as_the_edge_the_load_balancer_leads_to_the_gateway(site: Site) -> None:
    """Nobody from outside is let in by the policies that nginx is let in by."""
    path = "/api/v1/namespaces/istio-system/services/istio-ingressgateway"
    regional = {"service.beta.kubernetes.io/do-loadbalancer-type": "REGIONAL"}  # 80 is 8080 in its pods
    site.cluster.patch(path, {"metadata": {"annotations": regional}, "spec": {"type": "LoadBalancer"}})
    listens = "rehearsal.tideflow.dev/listens-at"
    eventually(lambda: listens in (site.cluster.get(path)["metadata"].get("annotations") or {}))
    with pytest.raises(requests.exceptions.RequestException):
        site.visitor().get("/")
    opened = gateways.policy()
    opened["spec"]["ingress"] = [{"ports": [{"port": 8080}]}]
    site.cluster.apply(POLICY, opened, field_manager="tests", force=True)
    eventually(lambda: status(site), lambda found: found == 403)
    assert "X-Forwarded-Host" not in welcome(site.login(), EMAIL)["headers"]
    site.cluster.apply(POLICY, gateways.policy(), field_manager="tests", force=True)
    site.cluster.patch(path, {"spec": {"type": "ClusterIP"}})
    eventually(lambda: status(site), lambda found: found == 403)


def test_everything_listens_on_loopback_or_for_its_owner_only(site: Site) -> None:
    """No other address; files for nobody else; and no secret in an argument."""
    folder = site.plane.control_plane.folder
    listening = subprocess.run(
        ["ss", "-tlnH"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    port = site.address.rpartition(":")[2]
    assert [line.split()[3] for line in listening if line.split()[3].endswith(f":{port}")] in (
        [],
        [site.address],
    )
    for file in (folder / "gateway").rglob("*"):
        assert file.is_dir() or stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE((folder / "gateway").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "gateway.json").stat().st_mode) == 0o600
    pid = process(site).pid
    assert site.secret not in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")


def test_the_port_is_the_same_after_a_restart_and_sessions_go_on(site: Site) -> None:
    """The rehearsal is stopped and started: Dex's keys are kept, as they are in a cluster."""
    visitor, address = site.login(), site.address
    plane = site.plane
    plane.control_plane.stop()
    assert not process(site).running
    with pytest.raises(requests.exceptions.ConnectionError):
        visitor.get("/")
    plane.start(stand_ins=True, pod_ready_seconds=(0.2, 0.4))

    def again() -> int:
        try:
            return visitor.get("/").status_code
        except (requests.exceptions.ConnectionError, KubernetesError):
            return 0

    eventually(again, lambda found: found == 200)
    assert site.address == address
