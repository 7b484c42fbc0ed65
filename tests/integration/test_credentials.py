"""Credentials that everybody knows, live in a cluster: replaced, with the right restarts, and told."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest
from tests.integration.deploying import Checkout, written
from tests.integration.logging_in import enter, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.logging_in import Visitor

pytestmark = pytest.mark.usefixtures("binaries", "auth_proxy")

HOST, EMAIL = "kubeflow.localhost", "user@example.com"
NO_CHANGE = "No changes"
CLIENT = "pUBnBOY80SnXgjibTYM9ZWNzY2xreNGQok"
COOKIE = "7d16fee92f8d11b8940b081b3f8b8acb"
SHIPPED = {
    "auth/dex-passwords": {"DEX_USER_PASSWORD": bcrypt.hashpw(b"12341234", bcrypt.gensalt(10)).decode()},
    "auth/dex-oidc-client": {"OIDC_CLIENT_SECRET": CLIENT},
    "oauth2-proxy/oauth2-proxy-sample": {"client-secret": CLIENT, "cookie-secret": COOKIE},
    "kubeflow/mlpipeline-minio-artifact": {"accesskey": "minio", "secretkey": "minio123"},
    "kubeflow/mysql-secret": {"password": ""},
    "kubeflow/katib-mysql-secrets": {"MYSQL_ROOT_PASSWORD": "test"},
}
"""What a cluster has that somebody made with kubectl."""

STORE = ("seaweedfs", "ml-pipeline", "ml-pipeline-ui")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkout, str]]:
    """Deploy everything once, and readers of the object store that the sample lacks."""
    checkout = Checkout.make(tmp_path_factory.mktemp("sample"))
    checkout.platform.mkdir(parents=True)
    (checkout.platform / "sample-base").touch()
    try:
        printed = checkout.pyinfra("deploys/all.py")
        template = checkout.get("deployment", "-n", "kubeflow", "centraldashboard")
        for name in STORE:
            file = checkout.folder / f"{name}.json"
            file.write_text(json.dumps(reader(template, name)))
            checkout.kubectl("apply", "-f", str(file))
        yield checkout, printed
    finally:
        checkout.stop()


def reader(like: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a Deployment as another one is, for what the sample does not have."""
    spec = {key: like["spec"][key] for key in ("replicas", "selector", "template")}
    spec["selector"] = {"matchLabels": {"app": name}}
    spec["template"]["metadata"] = {"labels": {"app": name}}
    metadata = {"name": name, "namespace": "kubeflow"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def values(checkout: Checkout, where: str) -> dict[str, str]:
    """Return what a Secret has."""
    namespace, _, name = where.partition("/")
    data = checkout.get("secret", "-n", namespace, name)["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def ship(checkout: Checkout, *only: str) -> None:
    """Have upstream's values in Secrets, as kubectl makes them, and pods that know no others."""
    for where in only or SHIPPED:
        namespace, _, name = where.partition("/")
        notes = {"tideflow.dev/credential": None, "tideflow.dev/rotated-at": None}
        patch = json.dumps({"metadata": {"annotations": notes}, "stringData": SHIPPED[where]})
        checkout.kubectl("patch", "secret", "-n", namespace, name, "--type", "merge", "-p", patch)
    for namespace, name in (("auth", "dex"), ("oauth2-proxy", "oauth2-proxy")):
        checkout.kubectl("rollout", "restart", "-n", namespace, f"deployment/{name}")
        checkout.kubectl("rollout", "status", "-n", namespace, f"deployment/{name}")


def ails(namespace: str, name: str, checkout: Checkout, what: str | None) -> None:
    """Have new pods of a Deployment fail in that way, or no more."""
    notes = {"template": {"metadata": {"annotations": {"rehearsal.tideflow.dev/fails": what}}}}
    patch = json.dumps({"spec": notes})
    checkout.kubectl("patch", "deployment", "-n", namespace, name, "--type", "merge", "-p", patch)


def gateway(checkout: Checkout) -> str:
    """Return where people log in."""
    found = re.search(r"https://kubeflow\.localhost:(\d+)", checkout.pyinfra("deploys/status.py"))
    assert found is not None
    return f"https://127.0.0.1:{found[1]}"


def is_in(visitor: Visitor) -> bool:
    """Tell whether a session holds."""
    return visitor.get("/").status_code == 200


def test_on_a_fresh_install_none_is_ever_live(sample: tuple[Checkout, str]) -> None:
    """The step has nothing to do and says so; every value is longer than any of upstream's is public."""
    checkout, printed = sample
    assert "credentials that are upstream's, which everybody knows: none" in printed
    assert "Credentials all made for this platform, none is upstream's" in printed
    for where, shipped in SHIPPED.items():
        live = values(checkout, where)
        assert all(live[key] not in {value, "generated-at-install"} for key, value in shipped.items())
    audit = (checkout.platform / "rehearsal" / "audit.log").read_text()
    assert "rotated" not in audit


def test_each_that_is_live_is_replaced_with_what_reads_it_restarted(sample: tuple[Checkout, str]) -> None:
    """Sessions of old end, the default password is refused, and databases are left with a word on them."""
    checkout, _ = sample
    ship(checkout)
    address = gateway(checkout)
    visitor = enter(address, HOST, EMAIL, "12341234")
    printed = checkout.pyinfra("deploys/status.py")
    assert "upstream's, known to everybody: auth/dex-oidc-client OIDC_CLIENT_SECRET, auth/dex-pass" in printed

    dry = checkout.run("pyinfra", "--dry", "inventory.py", "deploys/credentials.py").stderr
    assert "would replace client-secret and cookie-secret of Secret oauth2-proxy/oauth2-proxy-sample" in dry
    assert "would restart Deployment kubeflow/seaweedfs" in dry
    assert values(checkout, "auth/dex-oidc-client")["OIDC_CLIENT_SECRET"] == CLIENT

    mark = checkout.mark()
    printed = checkout.pyinfra("deploys/auth.py", "deploys/credentials.py", TIDEFLOW_PASSWORD="a good one")
    left = "kubeflow/katib-mysql-secrets MYSQL_ROOT_PASSWORD, kubeflow/mysql-secret password"
    assert f"which everybody knows: {left}\n" in printed
    assert "kubectl rollout restart -n kubeflow deployment/katib-mysql deployment/katib-db-manager" in printed
    done = written(checkout.writes(mark))
    assert done >= {f"deployments kubeflow/{name}" for name in STORE}
    assert not done & {"secrets kubeflow/mysql-secret", "deployments kubeflow/mysql"}
    restarted = [event["objectRef"]["name"] for event in checkout.writes(mark)]
    assert restarted.index("seaweedfs") < restarted.index("ml-pipeline")

    live = {where: values(checkout, where) for where in SHIPPED}
    proxy = live["oauth2-proxy/oauth2-proxy-sample"]
    assert live["auth/dex-oidc-client"]["OIDC_CLIENT_SECRET"] == proxy["client-secret"] != CLIENT
    assert proxy["cookie-secret"] != COOKIE
    assert live["kubeflow/mlpipeline-minio-artifact"]["accesskey"] != "minio"
    assert live["kubeflow/mysql-secret"] == {"username": "root", "password": ""}
    for value in (proxy["client-secret"], proxy["cookie-secret"], "a good one"):
        assert value not in printed
    assert not is_in(visitor)
    exchange = {"grant_type": "authorization_code", "code": "any", "redirect_uri": "/oauth2/callback"}
    old, new = (
        visitor.ask(
            "POST", "/dex/token", data=exchange, auth=("kubeflow-oidc-authservice", client)
        ).status_code
        for client in (CLIENT, proxy["client-secret"])
    )
    assert (old, new) == (401, 400)
    assert refused(address, HOST, EMAIL, "12341234")
    assert is_in(enter(address, HOST, EMAIL, "a good one"))

    mark = checkout.mark()
    assert NO_CHANGE in checkout.pyinfra("deploys/credentials.py", "deploys/kubeflow_base.py")
    assert checkout.writes(mark) == []


def test_what_is_to_be_done_by_hand_does_it(sample: tuple[Checkout, str]) -> None:
    """The commands, but for MySQL itself, which no rehearsal has; it gets the old and the new one."""
    checkout, _ = sample
    printed = checkout.pyinfra("deploys/credentials.py")
    lines = [line.partition("]     ")[2] for line in printed.splitlines() if "]     " in line]
    assert len(lines) == 10
    script = checkout.folder / "kubectl"
    real = Path(sys.executable).with_name("kubectl")
    script.write_text(
        f'#!/bin/sh\n[ "$1" = exec ] || exec {real} "$@"\n{{ cat; echo; }} >> {checkout.folder}/sent\n'
    )
    script.chmod(0o755)
    # The sample has no Katib to restart, and of what logs in to MySQL nothing.
    katib = "deployment/katib-mysql deployment/katib-db-manager"
    commands = "\n".join(lines).replace(katib, "deployment/centraldashboard")
    commands = re.sub(r"(deployment/mysql) deployment/metadata\S+ \S+ \S+$", r"\1", commands)
    environment = {**os.environ, "PATH": f"{checkout.folder}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", commands], check=True, env=environment)
    sent = (checkout.folder / "sent").read_text().splitlines()
    for where, key, old, alter in (
        ("kubeflow/katib-mysql-secrets", "MYSQL_ROOT_PASSWORD", *sent[:2]),
        ("kubeflow/mysql-secret", "password", *sent[2:]),
    ):
        live = values(checkout, where)
        assert old == SHIPPED[where][key]
        assert (
            alter
            == "; ".join(
                f"ALTER USER IF EXISTS 'root'@'{host}' IDENTIFIED BY '{live[key]}'"
                for host in ("%", "localhost")
            )
            + ";"
        )
        assert "next" not in live
    assert "which everybody knows: none" in checkout.pyinfra("deploys/credentials.py")


def test_a_database_is_not_cut_off_from_its_password(sample: tuple[Checkout, str]) -> None:
    """A new one in a Secret that is gone would lock out all that log in; the base refuses to make it."""
    checkout, _ = sample
    kept = values(checkout, "kubeflow/mysql-secret")
    checkout.kubectl("delete", "secret", "-n", "kubeflow", "mysql-secret")
    printed = checkout.pyinfra("deploys/kubeflow_base.py", check=False)
    assert "the Secret kubeflow/mysql-secret is gone, and kubeflow/mysql has its data under the" in printed
    literals = [f"--from-literal={key}={value}" for key, value in kept.items()]
    checkout.kubectl("create", "secret", "generic", "-n", "kubeflow", "mysql-secret", *literals)
    assert "] Success" not in checkout.pyinfra("deploys/kubeflow_base.py")


def test_a_missing_half_and_the_default_half_get_one_new_value(sample: tuple[Checkout, str]) -> None:
    """The base makes the missing one as the live one is, and then neither stays."""
    checkout, _ = sample
    ship(checkout, "auth/dex-oidc-client")
    checkout.kubectl("delete", "secret", "-n", "oauth2-proxy", "oauth2-proxy-sample")
    checkout.pyinfra("deploys/kubeflow_base.py")
    assert values(checkout, "oauth2-proxy/oauth2-proxy-sample")["client-secret"] == CLIENT
    checkout.pyinfra("deploys/credentials.py")
    proxy = values(checkout, "oauth2-proxy/oauth2-proxy-sample")["client-secret"]
    assert values(checkout, "auth/dex-oidc-client")["OIDC_CLIENT_SECRET"] == proxy != CLIENT


def test_what_was_killed_in_the_middle_is_ended_by_the_next_run(sample: tuple[Checkout, str]) -> None:
    """Halves that do not agree are made anew, and pods that were not restarted are."""
    checkout, _ = sample
    mark = checkout.mark()
    process = checkout.begin(
        "pyinfra", "-y", "--data", "rotate_credentials=true", "inventory.py", "deploys/credentials.py"
    )
    deadline = time.monotonic() + 60
    while not written(checkout.writes(mark)) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert written(checkout.writes(mark))
    checkout.pyinfra("deploys/credentials.py")
    proxy = values(checkout, "oauth2-proxy/oauth2-proxy-sample")["client-secret"]
    assert values(checkout, "auth/dex-oidc-client")["OIDC_CLIENT_SECRET"] == proxy
    for where in SHIPPED:
        namespace, _, name = where.partition("/")
        secret = checkout.get("secret", "-n", namespace, name)["metadata"].get("annotations") or {}
        stamp = secret.get("tideflow.dev/rotated-at")
        deployments = checkout.get("deployments", "-n", namespace)["items"]
        found = {
            notes[f"rotated.tideflow.dev/{name}"]
            for each in deployments
            if (notes := each["spec"]["template"]["metadata"].get("annotations") or {}).get(
                f"rotated.tideflow.dev/{name}"
            )
        }
        assert found <= {stamp}
    mark = checkout.mark()
    assert NO_CHANGE in checkout.pyinfra("deploys/credentials.py")
    assert checkout.writes(mark) == []


def test_a_secret_that_was_lost_is_made_anew_with_what_reads_it_restarted(
    sample: tuple[Checkout, str],
) -> None:
    """Else Dex and its client would not agree at the next restart of one of them."""
    checkout, _ = sample
    checkout.kubectl("delete", "secret", "-n", "auth", "dex-oidc-client")
    checkout.kubectl("delete", "secret", "-n", "oauth2-proxy", "oauth2-proxy-sample")
    printed = checkout.pyinfra("deploys/credentials.py", check=False)
    assert "Secret auth/dex-oidc-client, oauth2-proxy/oauth2-proxy-sample is missing" in printed
    printed = checkout.pyinfra("deploys/kubeflow_base.py", "deploys/credentials.py")
    assert "the Secret auth/dex-oidc-client was gone, and is made anew" in printed
    enter(gateway(checkout), HOST, EMAIL, "a good one")
    for namespace, name in (("auth", "dex"), ("oauth2-proxy", "oauth2-proxy")):
        checkout.kubectl("rollout", "restart", "-n", namespace, f"deployment/{name}")
        checkout.kubectl("rollout", "status", "-n", namespace, f"deployment/{name}")
    enter(gateway(checkout), HOST, EMAIL, "a good one")
    assert NO_CHANGE in checkout.pyinfra("deploys/kubeflow_base.py", "deploys/credentials.py")


def test_restarts_that_are_not_over_are_waited_for_again(sample: tuple[Checkout, str]) -> None:
    """The rerun that an error asks for does not say that all is well while the old pods serve."""
    checkout, _ = sample
    ails("auth", "dex", checkout, "ImagePullBackOff")
    short = ("--data", "timeout_minutes=0.1")
    for steps in (
        ("deploys/auth.py", "--data", "change_password=true"),
        ("deploys/auth.py",),
        ("deploys/credentials.py", "--data", "rotate_credentials=true"),
        ("deploys/credentials.py",),
    ):
        printed = checkout.pyinfra(*steps, *short, check=False, TIDEFLOW_PASSWORD="a good one of late")
        assert "waited 0.1 minutes for Deployment auth/dex to start with" in printed
    printed = checkout.pyinfra("deploys/reachable.py", check=False)
    assert "did not start with the credentials that there are now" in printed, printed
    ails("auth", "dex", checkout, None)
    printed = checkout.pyinfra("deploys/auth.py", "deploys/credentials.py")
    enter(gateway(checkout), HOST, EMAIL, "a good one of late")
    change = ("deploys/auth.py", "--data", "change_password=true")
    checkout.pyinfra(*change, TIDEFLOW_PASSWORD="a good one")


def test_the_gateway_does_not_get_an_address_while_the_default_password_is_live(
    sample: tuple[Checkout, str],
) -> None:
    """Nothing is written; once there is another password, it goes on."""
    checkout, _ = sample
    kept = values(checkout, "auth/dex-passwords")
    ship(checkout, "auth/dex-passwords")
    mark = checkout.mark()
    printed = checkout.pyinfra("deploys/kubeflow_base.py", "--data", "edge=istio", check=False)
    assert "people log in with the password that upstream ships, and Istio's gateway would be pub" in printed
    assert written(checkout.writes(mark)) == set()
    checkout.pyinfra("deploys/auth.py", TIDEFLOW_PASSWORD="a good one")
    assert values(checkout, "auth/dex-passwords") != kept


def test_they_are_made_anew_when_that_is_asked_for(sample: tuple[Checkout, str]) -> None:
    """All but databases and people's passwords; sessions end, and people get in again."""
    checkout, _ = sample
    before = {where: values(checkout, where) for where in SHIPPED}
    printed = checkout.pyinfra("deploys/credentials.py", "--data", "rotate_credentials=true")
    after = {where: values(checkout, where) for where in SHIPPED}
    kept = {"auth/dex-passwords", "kubeflow/mysql-secret", "kubeflow/katib-mysql-secrets"}
    assert {where for where in SHIPPED if before[where] == after[where]} == kept
    assert "kubeflow/mysql-secret password is left: kubeflow/mysql has it in its data too" in printed


def test_of_two_at_once_one_waits_for_the_other(sample: tuple[Checkout, str]) -> None:
    """Else halves of both would be live, and each wait for pods that the other has replaced."""
    checkout, _ = sample
    command = ("pyinfra", "-y", "--data", "rotate_credentials=true", "inventory.py", "deploys/credentials.py")
    both = [checkout.begin(*command) for _ in range(2)]
    printed = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    enter(gateway(checkout), HOST, EMAIL, "a good one")
    assert NO_CHANGE in checkout.pyinfra("deploys/credentials.py")


def test_who_is_in_with_an_old_password_is_out(sample: tuple[Checkout, str]) -> None:
    """Another password is its hash, another cookie secret, and two restarts; the same one is nothing."""
    checkout, _ = sample
    address = gateway(checkout)
    visitor = enter(address, HOST, EMAIL, "a good one")
    file = checkout.folder / "chosen"
    file.touch(mode=0o600)
    file.write_text("a better one\n")
    change = ("deploys/auth.py", "--data", "change_password=true")
    mark = checkout.mark()
    printed = checkout.pyinfra(*change, TIDEFLOW_PASSWORD_FILE=str(file))
    assert "a better one" not in printed
    ours = [event["objectRef"]["name"] for event in checkout.writes(mark) if written([event])]
    assert sorted(ours) == [
        "dex",
        "dex-passwords",
        "oauth2-proxy",
        "oauth2-proxy-sample",
    ]
    assert not is_in(visitor)
    assert refused(address, HOST, EMAIL, "a good one")
    assert is_in(enter(address, HOST, EMAIL, "a better one"))
    mark = checkout.mark()
    again = checkout.pyinfra(*change, "deploys/credentials.py", TIDEFLOW_PASSWORD_FILE=str(file))
    assert "] Success" not in again
    assert checkout.writes(mark) == []
    assert "a better one" not in (checkout.platform / "rehearsal" / "audit.log").read_text()
