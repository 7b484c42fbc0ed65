"""Access from outside, from a fresh install on: to the sample, and with ``make soak`` to whole releases."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest
from tests.integration import comparing
from tests.integration.deploying import PROJECT, Checkout, clean_environment, failed
from tests.integration.logging_in import SESSION, enter, login, refused, welcome
from tests.integration.planes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.logging_in import Visitor

FOLDER = os.environ.get("TIDEFLOW_TEST_KUBEFLOW", "")
CACHE = Path.home() / ".cache" / "tideflow"
KFP = PROJECT / "tests" / "integration" / "kfp"

pytestmark = pytest.mark.usefixtures("binaries", "auth_proxy")

HOST, OWNER, ADA = "kubeflow.localhost", "user@example.com", "ada@example.org"
OWNERS_SPACE = "kubeflow-user-example-com"
NO_CHANGE = "No changes"
EVERYBODYS = ("12341234", "minio", "minio123", "test", "kubeflow", "password", "")
"""Passwords that upstream ships, for people or for programs, and what people try first."""
SHIPPED = {
    "pUBnBOY80SnXgjibTYM9ZWNzY2xreNGQok",
    "7d16fee92f8d11b8940b081b3f8b8acb",
    "minio",
    "minio123",
    "test",
    "generated-at-install",
}
"""What programs have for credentials in every install that was made as upstream says, and our own mark."""
WRITTEN_ONCE = ("Secret", "Deployment", "StatefulSet", "DaemonSet", "ConfigMap")

_releases = (
    pytest.mark.soak,
    pytest.mark.skipif(not FOLDER, reason="TIDEFLOW_TEST_KUBEFLOW names no folder with Kubeflow's manifests"),
)


@dataclass
class Site:
    """A platform, and who has which password there."""

    checkout: Checkout
    base: str
    printed: str
    password: str = ""
    ended: str = ""
    """The cookie of a session that another password has ended."""

    @property
    def port(self) -> str:
        """Where the gateway listens."""
        found = re.search(rf"https://{re.escape(HOST)}:(\d+)", self.printed)
        assert found is not None
        return found[1]

    @property
    def address(self) -> str:
        """How programs reach it that do not know the name."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def trusted(self) -> Path:
        """The certificate of the platform's own CA, as people import it."""
        return self.checkout.platform / "ca.crt"

    def enter(self, email: str = OWNER, password: str = "") -> Visitor:
        """Log in, once what was restarted answers."""
        return enter(self.address, HOST, email, password or self.password, trusted=self.trusted)

    def refuses(self, password: str, email: str = OWNER) -> bool:
        """Tell whether somebody is refused."""
        return refused(self.address, HOST, email, password, trusted=self.trusted)


RELEASES = [pytest.param(name, marks=_releases) for name in ("26.03", "v1.10.2")]


@pytest.fixture(scope="module", params=["sample", *RELEASES])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Deploy everything once, in a folder with nothing in it, and with nothing said about passwords."""
    base = request.param
    checkout = Checkout.make(tmp_path_factory.mktemp("access"))
    if base == "sample":
        checkout.platform.mkdir(parents=True)
        (checkout.platform / "sample-base").touch()
    else:
        checkout.run("tideflow", "vendor", "--from", str(Path(FOLDER).resolve()), "--release", base)
    if base == "v1.10.2":  # as the preflight says
        settings = checkout.folder / "group_data" / "all.py"
        settings.write_text(settings.read_text().replace('_version = "1.34"', '_version = "1.33"'))
    try:
        printed = checkout.pyinfra("deploys/all.py")
        found = re.search(r"Password    (\S+) \(made for this rehearsal\)", printed)
        assert found is not None
        yield Site(checkout, base, printed, found[1])
    finally:
        checkout.stop()


def test_the_owner_gets_in_and_nobody_with_what_everybody_knows(site: Site) -> None:
    """Over HTTPS that is verified, and step by step as a browser goes; the cookie is for HTTPS only."""
    assert failed(site.checkout.writes()) == []
    visitor = login(site.address, HOST, OWNER, site.password, trusted=site.trusted)
    assert welcome(visitor, OWNER)["service"] == "centraldashboard.kubeflow"
    cookie = visitor.cookie(SESSION)
    assert cookie is not None
    assert cookie.secure
    for password in (*EVERYBODYS, f"{site.password}x"):
        assert site.refuses(password), "a password is taken that is not the chosen one"
    assert site.refuses(site.password, email="admin@example.com")
    assert site.refuses("12341234", email="admin@example.com")


def test_no_credential_is_one_that_everybody_knows(site: Site) -> None:
    """The step says so, has nothing to do, and it is so."""
    printed = site.checkout.pyinfra("deploys/credentials.py")
    assert "credentials that are upstream's, which everybody knows: none" in printed
    assert NO_CHANGE in printed
    secrets = [
        (
            f"{each['metadata']['namespace']}/{each['metadata']['name']} {key}",
            base64.b64decode(value).decode(),
        )
        for each in site.checkout.get("secrets", "--all-namespaces")["items"]
        for key, value in (each.get("data") or {}).items()
    ]
    assert [name for name, value in secrets if value in SHIPPED] == []
    for name in ("kubeflow/mysql-secret password", "kubeflow/katib-mysql-secrets MYSQL_ROOT_PASSWORD"):
        assert dict(secrets)[name]
    hashed = dict(secrets)["auth/dex-passwords DEX_USER_PASSWORD"].encode()
    assert not bcrypt.checkpw(b"12341234", hashed)


def test_the_same_password_changes_nothing(site: Site) -> None:
    """Neither when it is there to be kept, nor when it is asked to be set: no object has another version."""
    before = comparing.live(site.checkout)
    for more in ((), ("--data", "change_password=true")):
        printed = site.checkout.pyinfra("deploys/auth.py", *more, TIDEFLOW_PASSWORD=site.password)
        assert NO_CHANGE in printed
        assert "] Success" not in printed
    after = comparing.live(site.checkout)
    assert comparing.versions(after, *WRITTEN_ONCE) == comparing.versions(before, *WRITTEN_ONCE)
    assert comparing.changed(before, after) == {}


def test_another_password_is_a_hash_a_cookie_secret_and_two_restarts(site: Site) -> None:
    """Of all objects of the cluster nothing else differs; old session and password are out, the new is in."""
    visitor, old = site.enter(), site.password
    site.ended = cookie_of(visitor)
    before = comparing.live(site.checkout)
    site.password = "another one, for the tests"
    change = ("deploys/auth.py", "--data", "change_password=true")
    site.checkout.pyinfra(*change, TIDEFLOW_PASSWORD=site.password)

    found = comparing.changed(before, comparing.live(site.checkout))
    proxy = next(name for name in found if name.startswith("Secret oauth2-proxy/"))
    template = "spec.template.metadata.annotations"
    revision = "metadata.annotations.deployment.kubernetes.io/revision"
    assert found.pop("Secret auth/dex-passwords (v1)") == [
        "data.DEX_USER_PASSWORD",
        "metadata.annotations.tideflow.dev/password-set-at",
    ]
    assert found.pop(proxy) == ["data.cookie-secret", "metadata.annotations.tideflow.dev/rotated-at"]
    assert found.pop("Deployment auth/dex (apps/v1)") == [
        revision,
        "metadata.generation",
        f"{template}.tideflow.dev/password-set-at",
    ]
    (stamped,) = found.pop("Deployment oauth2-proxy/oauth2-proxy (apps/v1)")[2:]
    assert stamped.startswith(f"{template}.rotated.tideflow.dev/oauth2-proxy")
    assert found == {}

    answer = eventually(lambda: visitor.get("/"), lambda found: found.status_code == 403)
    assert "/oauth2/start" in answer.text
    site.enter()
    assert site.refuses(old)


def test_everything_again_changes_nothing(site: Site) -> None:
    """No step finds anything to do, and no object has another version."""
    before, mark = comparing.live(site.checkout), site.checkout.mark()
    printed = site.checkout.pyinfra("deploys/all.py")
    assert "] Success" not in printed
    assert site.checkout.writes(mark) == []
    after = comparing.live(site.checkout)
    assert comparing.versions(after, *WRITTEN_ONCE) == comparing.versions(before, *WRITTEN_ONCE)
    assert comparing.changed(before, after) == {}
    site.enter()


@pytest.mark.parametrize("site", RELEASES, indirect=True)
def test_who_is_removed_is_locked_out(site: Site) -> None:
    """With session and password, by the one command that people know; test_people.py has it of the sample."""
    hashed = bcrypt.hashpw(b"a password of Ada's", bcrypt.gensalt(10)).decode()
    people = site.checkout.folder / "group_data" / "ml-platform.py"
    people.write_text(f"users = [{{'email': '{ADA}', 'hash': '{hashed}'}}]\n")
    assert hashed not in site.checkout.pyinfra("deploys/all.py")
    ada = site.enter(ADA, "a password of Ada's")
    people.write_text("users = []\n")
    printed = site.checkout.pyinfra("deploys/all.py")
    assert f"{ADA} is locked out; the Profile stays" in printed
    eventually(lambda: ada.get("/").status_code, lambda status: status == 403)
    assert site.refuses("a password of Ada's", email=ADA)
    site.enter()


def cookie_of(visitor: Visitor) -> str:
    """Return a session's cookie as it goes over the wire."""
    cookie = visitor.cookie(SESSION)
    assert cookie is not None
    return f"{cookie.name}={cookie.value}"


def ask_pipelines(site: Site, namespace: str, **environment: str) -> dict[str, Any]:
    """Ask as kfp's own client does, in an environment of its own."""
    own = sorted(CACHE.glob("uv-*/uv"))
    program = own[-1] if own else shutil.which("uv")
    assert program is not None, "run make setup"
    command = [program, "run", "--quiet", "--locked", "--script", KFP / "pipelines.py"]
    done = subprocess.run(
        [*command, f"https://{HOST}:{site.port}", namespace],
        env=clean_environment()
        | {
            "UV_CACHE_DIR": str(CACHE / "uv-cache"),
            "UV_PYTHON": sys.executable,
            "UV_PYTHON_DOWNLOADS": "never",
            "REQUESTS_CA_BUNDLE": str(site.trusted),
        }
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answered: dict[str, Any] = json.loads(done.stdout)
    return answered


def test_kfps_client_reaches_pipelines_with_a_sessions_cookie(site: Site) -> None:
    """As docs/access.md says; the API knows who it is, and the cluster's roles decide what that may see."""
    if site.base == "sample":
        site.checkout.kubectl("apply", "-f", str(KFP / "ml-pipeline.yaml"))
    for name in ("ml-pipeline", "ml-pipeline-ui"):
        wait = ("--for", "condition=Available", "--timeout", "60s")
        site.checkout.kubectl("wait", *wait, "-n", "kubeflow", f"deployment/{name}")
    answered = ask_pipelines(site, OWNERS_SPACE, KUBEFLOW_COOKIE=cookie_of(site.enter()))
    assert answered["healthz"] == {"multi_user": True}
    assert answered["experiments"] == answered["pipelines"] == answered["runs"] == {}
    assert answered["made"]["status"] == 501

    known = {"KUBEFLOW_USER": OWNER, "KUBEFLOW_PASSWORD": site.password}
    foreign = ask_pipelines(site, "istio-system", **known)
    assert foreign["healthz"] == {"multi_user": True}
    assert foreign["experiments"]["status"] == 403
    assert f"User '{OWNER}' may not list experiments" in foreign["experiments"]["said"]


def test_kfps_client_is_refused_without_a_session(site: Site) -> None:
    """Whether there is no cookie, a made-up one, that of a session which ended, or a wrong password."""
    for cookie in {"", f"{SESSION}=made-up", site.ended}:
        answered = ask_pipelines(site, OWNERS_SPACE, KUBEFLOW_COOKIE=cookie)
        assert {found["status"] for found in answered.values()} == {401}
    known = {"KUBEFLOW_USER": OWNER, "KUBEFLOW_PASSWORD": "12341234"}
    assert ask_pipelines(site, OWNERS_SPACE, **known) == {"login": 401}


def test_what_people_are_told_is_what_was_run() -> None:
    """The functions in docs/access.md are those of the script."""
    script = (KFP / "pipelines.py").read_text()
    told = re.findall(r"```python\n(.*?)```", (PROJECT / "docs" / "access.md").read_text(), re.DOTALL)
    assert len(told) == 2
    assert [block for block in told if block not in script] == []
