"""What is set reaches templates, commands and annotations: nothing of it may become more than a value."""

from __future__ import annotations

import contextlib
import runpy
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from tests.integration.deploying import PROJECT, Checkout

from tideflow.connectors.settings import Settings, check_cluster_name
from tideflow.engine.templates import render
from tideflow.errors import SettingError
from tideflow.vendoring import pins
from tideflow.vendoring.patching import patched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEFAULTS: dict[str, Any] = {
    name: value
    for name, value in runpy.run_path(str(PROJECT / "group_data" / "all.py")).items()
    if not name.startswith("_")
}
PARTS = (
    "\n",
    "\r\n",
    "\n---\n",
    "\n    nginx.ingress.kubernetes.io/server-snippet: return 200;",
    "\0",
    "\x1b[2J",
    "\u2028",
    "\u202e",
    "\\",
    "\\n",
    '"',
    "'",
    "`id`",
    "$(id)",
    "${HOME}",
    ";id;",
    "|id",
    " && id",
    " ",
    "\t",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "{#",
    "{email}",
    "{0.__class__}",
    "%s",
    ": ",
    ": x\ny: ",
    " #",
    "- ",
    "&a ",
    "*",
    "!!python/object/apply:os.system",
    "[a]",
    "{a: b}",
    "<script>",
    "/../",
    "//",
    "?x=y",
    "@evil.example/",
    "a" * 300,
    "\ufeff",
)
"""What is put into the midst of a value that is right but for that."""


def amid(before: str, after: str, *leave: str) -> list[str]:
    """Return values with each of the parts in their midst, those apart that are right in such a value."""
    return [f"{before}{part}{after}" for part in PARTS if part not in leave]


HOSTS = [
    *amid("kube", "flow.example.org", "\ufeff"),  # which no name keeps
    *("-kubeflow.example.org", "kubeflow-.example.org", "--all.example.org", "kubeflow.example.org -"),
    *("*.example.org", "kubeflow", "192.0.2.7", "kubeflow.example.org:443", "user@kubeflow.example.org"),
    *(
        "https://kubeflow.example.org",
        ".example.org",
        "a..example.org",
        "[::1]",
        "0x7f.1",
        "x" * 64 + ".example.org",
    ),
    *("xn--.example.org", "xn--a-ecp.\nru", "kubeflow。example。org/x", "\u0000", ""),
]
ADDRESSES = [
    *amid("some", "body@example.org", "%s"),
    *amid("somebody@exam", "ple.org"),
    *(
        "somebody",
        "@example.org",
        "somebody@",
        "a@b@example.org",
        "Ada <ada@example.org>",
        "ada@-example.org",
    ),
    *("äda@example.org", "ada@\u0435\u0445ample.org", "ada@xn--\u00e4.org", "a" * 65 + "@example.org", ""),
]
SETTINGS: dict[str, tuple[list[str], Callable[[str], Any]]] = {
    "hostname": (HOSTS, str),
    "dns_zone": (HOSTS, str),
    "email": (ADDRESSES, str),
    "acme_email": (ADDRESSES, str),
    "users": (ADDRESSES, lambda value: [value]),
    "users by mapping": (ADDRESSES, lambda value: [{"email": value}]),
    "users by hash": (amid("$2b$12$", "a" * 53), lambda value: [{"email": "a@b.org", "hash": value}]),
    "load_balancer_sources": (amid("192.0.2.", "0/24"), lambda value: [value]),
    "cluster_tags": (amid("te", "am", "a" * 300), lambda value: [value]),
    "addons": (amid("metrics-", "server"), lambda value: [value]),
    "kubernetes_version": (amid("1.", "34"), str),
    "maintenance_window": (amid("sunday ", "02:00"), str),
    "vpc": (amid("f2b42b64-f64f-460a-", "b74e-d1ae0aa423ec"), str),
    "region": (amid("ny", "c3", "a" * 300), str),
    "node_size": (amid("s-4vcpu", "-8gb", "a" * 300), str),
    **{name: (amid("", "x"), str) for name in ("edge", "tls", "prune", "rehearsal_pace")},
}
"""Wrong values of each setting, and how one is written."""


def read(**changed: Any) -> Settings:
    """Read the defaults with some of them changed."""
    return Settings.read(DEFAULTS | changed, rehearsal=True)


@pytest.mark.parametrize("case", SETTINGS)
def test_what_could_become_more_than_a_value_is_refused(case: str) -> None:
    """In one line that names the setting."""
    values, written = SETTINGS[case]
    setting = case.partition(" ")[0]
    taken = []
    for value in values:
        try:
            read(**{setting: written(value)})
        except SettingError as error:
            told = str(error)
            assert setting in told
            assert len(told.splitlines()) == 1
            assert not set(told) & {"\0", "\x1b", "\u202e"}
        else:
            taken.append(value)
    assert taken == []
    assert len(values) >= 40


def test_the_platforms_name_is_refused_too() -> None:
    """It becomes the cluster's, and a folder's."""
    names = [*amid("ml", "platform"), "..", "../ml", ".", "-ml", "ml-", "ML", "", "мл", "a" * 64]
    for name in names:
        with pytest.raises(SettingError, match="cannot be the name of a cluster") as raised:
            check_cluster_name(name)
        assert len(str(raised.value).splitlines()) == 1


LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAME = st.lists(LABEL, min_size=2, max_size=5).map(".".join)
ODD = st.one_of(
    NAME,
    st.text(),
    st.tuples(NAME, st.sampled_from(PARTS), NAME).map("".join),
    st.text(alphabet="abc.-1_*@ \n'\"{}:#%\xe9\xdf\u017f\u0131\uff21\uff10\u3002"),
    st.tuples(st.text(alphabet="\u0430\u0431\u03ad\xf1\u6f22\u200d", min_size=1), NAME).map(".".join),
)


def accepted(setting: str, value: str) -> str | None:
    """Return what is read of a value; None if it is refused."""
    with contextlib.suppress(SettingError):
        found = getattr(read(**{setting: value}), setting)
        assert isinstance(found, str)
        return found
    return None


def test_what_is_right_is_accepted() -> None:
    """Or what holds of all that is accepted would hold of nothing."""
    assert accepted("hostname", "kubeflow.b\xfccher.example") == "kubeflow.xn--bcher-kva.example"
    assert accepted("hostname", "null.null") == "null.null"
    assert accepted("email", "%+-@a.b") == "%+-@a.b"


def ingress(hostname: str, *, tls: bool) -> list[Any]:
    """Return what the template of the Ingress becomes."""
    secret = "kubeflow-tls-acme" if tls else None
    return list(render(PROJECT / "templates" / "ingress.yaml.j2", {"hostname": hostname, "secret": secret}))


@given(value=ODD, tls=st.booleans())
@example(value="kubeflow.bücher.example", tls=True)
@example(value="null.null", tls=False)
@example(value="1e3.xn--p1ai", tls=True)
@example(value="0.0.0.0x", tls=False)
def test_whatever_hostname_is_accepted_is_one_ingress_with_that_host(*, value: str, tls: bool) -> None:
    """And all else in it is what it is with any other name."""
    hostname = accepted("hostname", value)
    if hostname is None:
        return
    [found] = ingress(hostname, tls=tls)
    [usual] = ingress("HOST", tls=tls)
    usual["spec"]["rules"][0]["host"] = hostname
    if tls:
        usual["spec"]["tls"][0]["hosts"] = [hostname]
    assert found == usual
    assert found["kind"] == "Ingress"
    assert hostname.isascii()


def issuer(mode: str, edge: str, **values: str) -> list[Any]:
    """Return what the template of the certificate becomes."""
    fixed = {
        "mode": mode,
        "edge": edge,
        "issuer": "i",
        "secret": "s",
        "server": "https://s",
        "authority": "a",
    }
    return list(render(PROJECT / "templates" / "certificate.yaml.j2", {**fixed, **values}))


MAILS = st.one_of(
    st.tuples(st.text(alphabet="aZ0._%+-", min_size=1), NAME).map("@".join),
    st.tuples(st.text(), NAME).map("@".join),
    st.tuples(st.text(alphabet="abc"), st.sampled_from(PARTS), NAME).map("".join),
    st.sampled_from(ADDRESSES),
)


@given(MAILS, ODD, st.sampled_from(["acme", "self-signed"]), st.sampled_from(["nginx", "istio"]))
@example("%+-@a.b", "null.null", "acme", "nginx")
def test_whatever_address_is_accepted_stays_one(mail: str, name: str, mode: str, edge: str) -> None:
    """In the issuer, in Dex's configuration, and as the owner of the Profile."""
    email = accepted("email", mail)
    if email is None:
        return
    hostname = accepted("hostname", name) or "kubeflow.localhost"
    found = issuer(mode, edge, email=email, hostname=hostname)
    usual = issuer(mode, edge, email="EMAIL", hostname="HOST")
    usual[-1]["spec"]["dnsNames"] = [hostname]
    if mode == "acme":
        usual[0]["spec"]["acme"]["email"] = email
    assert found == usual

    bodies = based(email)
    config, profile = (bodies[name] for name in ("dex", "kubeflow-user-example-com"))
    expected = yaml.safe_load(based("user@example.com")["dex"]["data"]["config.yaml"])
    expected["staticPasswords"][0]["email"] = email
    assert yaml.safe_load(config["data"]["config.yaml"]) == expected
    assert profile["spec"]["owner"] == {"kind": "User", "name": email}


def based(email: str) -> dict[str, Any]:
    """Return the patched objects of the sample that have the e-mail, by name."""
    sample = PROJECT / "vendored" / "sample"
    files = (
        sample / "core_v1--ConfigMap" / "auth--dex.yaml",
        next(sample.glob("*--Profile/*kubeflow-user-example-com.yaml")),
    )
    bodies = [yaml.safe_load(file.read_text()) for file in files]
    stated = pins.read(PROJECT / "vendored" / "kubeflow.toml").patches
    fitting = [patch for patch in stated if any(patch.matches(body) for body in bodies)]
    return {body["metadata"]["name"]: body for body in patched(bodies, fitting, {"email": email})}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Yield a checkout in which nothing has run, and stop what may run in it after all."""
    checkout = Checkout.make(tmp_path_factory.mktemp("injection"))
    yield checkout
    checkout.stop()


def refused(checkout: Checkout, named: str, **environment: str) -> None:
    """Have a run of everything refused in one line, before anything is made, be it the twin."""
    done = checkout.run("pyinfra", "-y", "inventory.py", "deploys/all.py", check=False, **environment)
    printed = done.stdout + done.stderr
    assert done.returncode != 0
    assert len([line for line in printed.splitlines() if named in line]) == 1
    assert "Traceback" not in printed
    assert "Starting operation" not in printed
    assert not list(checkout.folder.glob(".tideflow/*/rehearsal"))
    assert not (checkout.folder / "pyinfra-debug.log").exists()


@pytest.mark.parametrize(
    "setting", ["hostname", "dns_zone", "email", "acme_email", "users", "load_balancer_sources", "region"]
)
def test_a_run_refuses_it_before_anything_is_made(checkout: Checkout, setting: str) -> None:
    """What stands in a file of settings."""
    values, written = SETTINGS[setting]
    file = checkout.folder / "group_data" / "ml-platform.py"
    file.write_text(f"{setting} = {written(values[3])!r}\n")
    try:
        refused(checkout, f"setting {setting}")
    finally:
        file.unlink()


def test_a_run_refuses_a_platforms_name(checkout: Checkout) -> None:
    """Which becomes a folder's."""
    refused(checkout, "cannot be the name of a cluster", TIDEFLOW_PLATFORM="../ml")
    assert not (checkout.folder / "ml").exists()
