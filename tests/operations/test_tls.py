"""The hostname over TLS, as people reach it: the rehearsal's gateway serves by the objects that are live."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests
from tests.integration.deploying import Checkout, failed, written
from tests.integration.logging_in import SESSION, Visitor, login, start
from tests.integration.planes import eventually

from tideflow.rehearsal.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("binaries", "auth_proxy")

HOST = "kubeflow.localhost"
EMAIL = "user@example.com"
ISSUED = ("secret,certificate,clusterissuer", "--all-namespaces", "-o", "name")
CONTROLLER = "app.kubernetes.io/component=controller,app.kubernetes.io/name=cert-manager"
AGO = "2026-01-01T00:00:00Z"
STEPS = ("deploys/kubeflow_base.py", "deploys/ingress.py", "deploys/dns.py", "deploys/certificate.py")


class Site:
    """A checkout, and how people get to what it has deployed."""

    def __init__(self, checkout: Checkout, printed: str) -> None:
        self.checkout = checkout
        self.printed = printed
        (name,) = (line.split()[1] for line in printed.splitlines() if line.startswith("        Name  "))
        self.port = urlsplit(name).port
        self.password = (checkout.platform / "password").read_text().strip()

    def deploy(self, *settings: str, steps: tuple[str, ...] = STEPS, check: bool = True) -> str:
        """Run steps with settings."""
        return self.checkout.pyinfra(*steps, *(f"--data={setting}" for setting in settings), check=check)

    def url(self, scheme: str) -> str:
        """Return where it is for programs, which do not resolve the name."""
        return f"{scheme}://127.0.0.1:{self.port}"

    def log_in(self, trusted: Path, host: str = HOST) -> None:
        """Get in over HTTPS with a session that is not sent over HTTP, by which nobody logs in.

        Envoy asks oauth2-proxy before it redirects, but for what a login goes through.
        """
        answer = Visitor(self.url("http"), host).get("/oauth2/start?y")
        assert answer.status_code in {301, 308}
        assert answer.headers["Location"] == f"https://{host}:{self.port}/oauth2/start?y"
        cookie = login(self.url("https"), host, EMAIL, self.password, trusted=trusted).cookie(SESSION)
        assert cookie is not None
        assert cookie.secure

    def left(self) -> set[str]:
        """Return what there is of certificates for the hostname, and of what they needed."""
        names = self.checkout.kubectl("get", *ISSUED).split()
        marks = ("kubeflow-tls", "kubeflow-ca", "tideflow-", "/kubeflow")
        return {
            name.partition("/")[2]
            for name in names
            if any(mark in name for mark in marks) and "credential" not in name
        }


def made(folder: Path, edge: str) -> Checkout:
    """Return a checkout that rehearses with the sample."""
    checkout = Checkout.make(folder)
    checkout.platform.mkdir(parents=True)
    (checkout.platform / "sample-base").touch()
    (checkout.folder / "group_data" / "ml-platform.py").write_text(f'edge = "{edge}"\n')
    return checkout


@pytest.fixture(scope="module", params=["nginx", "istio"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Deploy everything once with each edge."""
    checkout = made(tmp_path_factory.mktemp(request.param), request.param)
    try:
        yield Site(checkout, checkout.pyinfra("deploys/all.py"))
    finally:
        checkout.stop()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Authority, list[str]]:
    """Return a CA, and the settings for what it has issued for the hostname."""
    authority = Authority.new("A CA of the tests")
    certificate, key = authority.issue(HOST, dns_names=[HOST])
    for name, text in (("tls.crt", certificate), ("tls.key", key), ("ca.crt", authority.certificate)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return authority, ["tls=files", f"tls_certificate={tmp_path}/tls.crt", f"tls_key={tmp_path}/tls.key"]


def test_whoever_trusts_the_platforms_ca_gets_in(site: Site) -> None:
    """That is the default of a rehearsal; a rerun writes nothing, and brings the file back if it is lost."""
    authority = site.checkout.platform / "ca.crt"
    assert f"https://{HOST}:{site.port}" in site.printed
    assert f"import {authority}" in site.printed
    assert "PRIVATE" not in authority.read_text()
    site.log_in(authority)
    authority.unlink()
    mark = site.checkout.mark()
    printed = site.checkout.pyinfra("deploys/all.py")
    assert site.checkout.writes(mark) == []
    assert "] Success" not in printed
    site.log_in(authority)


def test_a_lost_secret_is_issued_again(site: Site) -> None:
    """By cert-manager; the CA stays, and so whoever trusts it."""
    site.checkout.kubectl("delete", "secret", "-n", "istio-system", "kubeflow-tls-self-signed")
    eventually(lambda: "kubeflow-tls-self-signed" in site.left())

    def gets_in() -> bool:
        try:
            site.log_in(site.checkout.platform / "ca.crt")
        except requests.exceptions.SSLError:
            return False
        return True

    eventually(gets_in)


def test_files_are_served_and_replaced_when_they_change(
    site: Site, files: tuple[Authority, list[str]], tmp_path: Path
) -> None:
    """What the other way needed goes, the key is in no output, and back there is a new CA."""
    authority, settings = files
    printed = site.deploy(*settings)
    site.log_in(tmp_path / "ca.crt")
    assert site.left() == {"kubeflow-tls-files"}
    assert not (site.checkout.platform / "ca.crt").exists()
    mark = site.checkout.mark()
    assert "] Success" not in site.deploy(*settings)
    assert site.checkout.writes(mark) == []

    certificate, key = authority.issue(HOST, dns_names=[HOST])
    (tmp_path / "tls.crt").write_text(certificate)
    (tmp_path / "tls.key").write_text(key)
    printed += site.checkout.pyinfra(
        "deploys/ingress.py", "--diff", *(f"--data={setting}" for setting in settings)
    )
    assert written(site.checkout.writes(mark)) == {"secrets istio-system/kubeflow-tls-files"}
    site.log_in(tmp_path / "ca.crt")
    assert key.splitlines()[1] not in printed

    site.deploy("tls=self-signed")
    assert site.left() == {
        "kubeflow-tls-self-signed",
        "kubeflow-ca",
        "tideflow-ca",
        "tideflow-self-signed",
        "kubeflow",
    }
    site.log_in(site.checkout.platform / "ca.crt")


def test_lets_encrypt_is_asked_for_a_trial_first(site: Site, tmp_path: Path) -> None:
    """Its staging server, and only then the other; once it is there, neither is asked again."""
    dry = site.checkout.run("pyinfra", "--dry", "--data=tls=acme", "inventory.py", "deploys/certificate.py")
    assert "would create ClusterIssuer tideflow-letsencrypt-staging" in dry.stdout + dry.stderr
    mark = site.checkout.mark()
    printed = site.deploy("tls=acme")
    assert failed(site.checkout.writes(mark)) == []
    asked = [
        event["objectRef"]["name"]
        for event in site.checkout.writes(mark)
        if event["objectRef"]["resource"] == "clusterissuers" and event["verb"] == "patch"
    ]
    assert asked == ["tideflow-letsencrypt-staging", "tideflow-letsencrypt"]
    assert site.left() == {"kubeflow-tls-acme", "tideflow-letsencrypt", "kubeflow"}
    issuer = site.checkout.get("clusterissuer", "tideflow-letsencrypt")["spec"]["acme"]
    assert issuer["server"] == "https://acme-v02.api.letsencrypt.org/directory"
    account = site.checkout.get("secret", "-n", "cert-manager", "tideflow-letsencrypt")
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(account["data"]["tls.crt"]))
    site.log_in(tmp_path / "ca.crt")
    mark = site.checkout.mark()
    assert "] Success" not in site.deploy("tls=acme")
    assert site.checkout.writes(mark) == []
    assert "PRIVATE" not in printed


def test_without_its_record_lets_encrypt_is_not_asked(site: Site) -> None:
    """An answer that the name is not there would be remembered, and each refusal counts."""
    printed = site.deploy(
        "tls=acme", "hostname=ml.example.org", steps=("deploys/certificate.py",), check=False
    )
    assert "no certificate was asked for, as ml.example.org does not lead here" in printed
    assert "run first: " in printed
    asked = site.checkout.get("certificate", "-n", "istio-system", "kubeflow")["spec"]
    assert asked["dnsNames"] == [HOST]


def test_a_refusal_is_told_and_a_rerun_asks_anew(site: Site) -> None:
    """cert-manager alone would not ask again for an hour; the trial begins anew, and what is served stays."""
    alone = ("deploys/certificate.py",)
    path = ("certificate", "-n", "istio-system", "kubeflow")
    scale = ("scale", "deployment", "-n", "cert-manager", "cert-manager")
    site.checkout.kubectl(*scale, "--replicas=0")
    eventually(lambda: "cert-manager-" not in site.checkout.kubectl("get", "pods", "-A", "-l", CONTROLLER))
    failure = {
        "type": "Ready",
        "status": "False",
        "reason": "Failed",
        "message": "",
        "lastTransitionTime": AGO,
    }
    status = {"status": {"lastFailureTime": AGO, "conditions": [failure]}}
    how = ("--subresource=status", "--type=merge", f"-p={json.dumps(status)}")
    site.checkout.kubectl("patch", *path, *how)
    before = site.checkout.get(*path)
    printed = site.deploy("tls=acme", "timeout_minutes=0.1", steps=alone, check=False)
    assert (
        "minutes for tideflow-letsencrypt-staging to issue the certificate of kubeflow.localhost" in printed
    )
    assert "docs/access.md says what helps; then run this step again" in printed
    anew = site.checkout.get(*path)
    assert anew["metadata"]["uid"] != before["metadata"]["uid"]
    assert anew["spec"]["issuerRef"]["name"] == "tideflow-letsencrypt-staging"
    assert "kubeflow-tls-acme" in site.left()
    site.checkout.kubectl(*scale, "--replicas=1")
    site.deploy("tls=acme", steps=alone)
    assert site.checkout.get(*path)["spec"]["issuerRef"]["name"] == "tideflow-letsencrypt"


def test_without_tls_it_is_said_what_breaks(site: Site) -> None:
    """The cookie is not secure then, nothing is redirected, and nothing of TLS is left."""
    mark = site.checkout.mark()
    printed = site.deploy("tls=off", steps=("deploys/ingress.py",), check=False)
    assert "oauth2-proxy has FORCE_HTTPS = true, which does not go with the setting tls" in printed
    assert site.checkout.writes(mark) == []
    printed = site.deploy("tls=off")
    assert "passwords and sessions travel in clear" in printed
    assert site.left() == set()
    start(Visitor(site.url("http"), HOST))
    login(site.url("http"), HOST, EMAIL, site.password)
    site.deploy("tls=self-signed")
    site.log_in(site.checkout.platform / "ca.crt")


def test_files_that_would_not_serve_are_refused_before_anything_is_written(
    site: Site, files: tuple[Authority, list[str]], tmp_path: Path
) -> None:
    """In one line; and what was served goes on."""
    authority, settings = files
    other, key = authority.issue("x", dns_names=["other.example.org"])
    (tmp_path / "tls.crt").write_text(other)
    mark = site.checkout.mark()
    printed = site.deploy(*settings, check=False)
    assert "is not that of the certificate in" in printed
    (tmp_path / "tls.key").write_text(key)
    printed += site.deploy(*settings, check=False)
    assert "is for other.example.org, and not for the setting hostname, kubeflow.localhost" in printed
    assert "Starting operation" not in printed
    assert "Traceback" not in printed
    assert "PRIVATE" not in printed
    assert site.checkout.writes(mark) == []
    site.log_in(site.checkout.platform / "ca.crt")
