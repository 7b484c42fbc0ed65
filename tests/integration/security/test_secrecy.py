"""Tokens, passwords, keys and the data of Secrets are nowhere but where they have to be."""

from __future__ import annotations

import base64
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.logging_in import refused
from tests.integration.proxying import Answer, Cut, Pass, Proxy
from tests.integration.security import defaults
from tests.integration.security.canaries import below, content, readers
from tests.integration.security.echoing import Echo
from tests.integration.security.live import named
from tests.integration.security.sampling import Sampler
from tests.integration.security.scenes import DECIDED, FORMS, NAMED, OWNER, Scene, data, deploys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.proxying import Call, Verdict

pytestmark = pytest.mark.usefixtures("binaries", "auth_proxy")

AGAIN = ("change_password=true", "rotate_credentials=true")
CACHE = Path("~/.cache/tideflow").expanduser()
LARGEST = 4 * 2**20  # bytes of a file elsewhere; others' databases are larger
DEFECT = "Tideflow has a defect: RuntimeError in "


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """Have everything deployed, changed, announced and told in every way that pyinfra has."""
    with (
        tempfile.TemporaryDirectory(prefix="tideflow-test-") as folder,
        tempfile.TemporaryDirectory(prefix="tideflow-test-") as own,
        Sampler(Path(own)) as sampler,
    ):
        scene = Scene(Path(folder), sampler)
        try:
            play(scene)
            yield scene
        finally:
            scene.checkout.stop()


def play(scene: Scene) -> None:
    """Run everything, as a rehearsal and as a platform that is named."""
    usual = "inventory.py"
    token = {"DIGITALOCEAN_ACCESS_TOKEN": scene.unused}
    everything = deploys("all")
    scene.step("rehearsal --debug-all -vvv", "-y", "--debug-all", "-vvv", usual, *everything, **token)
    given = {**scene.named(), "TIDEFLOW_PASSWORD": scene.password}
    scene.step(
        "named --debug -vvv --diff",
        *("-y", "--debug", "-vvv", "--diff", usual, *deploys(*DECIDED), *data(*NAMED, *AGAIN)),
        **given,
    )
    filed = {**scene.named(), "TIDEFLOW_PASSWORD_FILE": str(scene.filed)}
    scene.step("named --json", "-y", "--json", usual, *deploys("auth"), *data(*NAMED, AGAIN[0]), **filed)
    scene.type_in("named, typed", "-y", "--debug", usual, *deploys("auth"), *data(*NAMED, AGAIN[0]))
    for lost in ("dex-oidc-client", "dex-passwords"):
        scene.checkout.kubectl("delete", "secret", "-n", "auth", lost)
    dry = ("--dry", "--diff", "--json", "--debug")
    scene.step("rehearsal --dry --diff --json", *dry, usual, *everything, *data(*AGAIN))
    scene.step("rehearsal --diff", "-y", "--diff", "--debug", usual, *everything)
    for which in ("new", "changed"):
        scene.write()
        scene.step(f"{which}, --dry --diff", "--dry", "--diff", "--debug", usual, "mine.py")
        scene.step(f"{which}, --diff", "-y", "--diff", "--debug", "-vvv", usual, "mine.py")
    told = ("-y", "--debug-operations", "--debug-facts")
    scene.step("named --debug-operations", *told, usual, *deploys(*DECIDED), *data(*NAMED, *AGAIN), **given)


def test_what_is_looked_for_is_found_where_it_has_to_be(scene: Scene) -> None:
    """All kinds of secrets, in the files that hold them; so what is found nowhere else is not there."""
    held = {
        scene.checkout.platform / "access": "token of the cluster in access",
        scene.checkout.platform / "kubeconfig": "token of the cluster in kubeconfig",
        scene.rehearsal / "token": "token of the twin",
        scene.filed: "password in a file",
        scene.checkout.folder / "group_data" / "ml-platform.py": "hash in the settings",
        scene.cluster / "pki" / "ca.key": "key pki/ca.key",
    }
    for file, name in held.items():
        assert name in scene.canaries.found(content(file))
    database = b"".join(content(file) for file in below(scene.cluster / "etcd"))
    wanted = {name for name in scene.canaries.names if name.startswith("Secret ")}
    assert len(wanted) >= 12
    assert wanted - scene.canaries.found(database) == set()
    assert "Secret of one's own" in scene.canaries.found(database)
    assert "credentials of the way to Dex" in scene.canaries.names
    assert "generated password" in scene.canaries.names
    print(f"{len(scene.canaries)} secrets in {scene.canaries.forms} forms")  # noqa: T201 - the figures


@pytest.mark.parametrize(
    "library",
    ["connecting", "credentials", "reading", "writing", "hashing", "dumping", "encoding", "configuring"],
)
def test_a_defect_of_a_library_does_not_tell_what_it_was_given(scene: Scene, library: str) -> None:
    """Not even when that is what its exception says; people get one line, and a traceback without texts."""
    for name in ("access", "kubeconfig"):
        (scene.checkout.platform / name).unlink(missing_ok=True)
    what = f"a defect while {library}"
    given = {**scene.named(), "TIDEFLOW_PASSWORD": scene.password, "BREAKS": library}
    steps = deploys("auth", "credentials")
    printed = scene.run(what, "-y", "--debug", "breaking.py", *steps, *data(*NAMED, *AGAIN), **given)
    assert DEFECT in printed
    assert scene.leaks(printed) == set()
    assert not (scene.checkout.folder / "pyinfra-debug.log").exists()


@pytest.mark.parametrize(("status", "plain"), [(401, False), (403, True), (422, False)])
def test_what_an_api_quotes_is_not_repeated(scene: Scene, status: int, *, plain: bool) -> None:
    """DigitalOcean's, and Kubernetes': a token that an error quotes is left out of ours."""
    with Echo(status, plain=plain) as echo:
        given = {**scene.named(echo.url), "TIDEFLOW_PASSWORD": scene.password}
        run = ("-y", "--debug", "inventory.py", *deploys("auth"), *data(*NAMED, *AGAIN))
        printed = scene.run(f"an API that quotes, {status} {plain}", *run, **given)
        assert scene.leaks(printed) == set()
        assert str(status) in printed
        with scene.led_to(echo.url):
            printed = scene.run(f"a cluster that quotes, {status} {plain}", *run, **(given | scene.named()))
        assert scene.leaks(printed) == set()
        assert str(status) in printed
    asked = "".join(echo.asked)
    assert "dop_v1_" in asked
    assert "dop_k8s_" in asked


@pytest.mark.parametrize("how", ["refused", "failed", "garbage", "cut"])
def test_a_write_that_fails_in_the_middle_tells_nothing(scene: Scene, how: str) -> None:
    """The server quotes the Secret that it was sent, or answers nothing that makes sense."""
    sent: list[bytes] = []

    def decide(call: Call) -> Verdict:
        if call.method != "PATCH" or "/secrets/" not in call.path or call.query.get("dryRun"):
            return Pass()
        sent.append(call.body)
        text = call.body.decode()
        quoting = {
            "kind": "Status",
            "message": text,
            "details": {"causes": [{"field": ".data", "message": text}]},
        }
        verdicts: dict[str, Verdict] = {
            "refused": Answer(422, quoting),
            "failed": Answer(500, quoting),
            "garbage": Answer(200, b"\xff<html>" + call.body),
            "cut": Cut(unheard=True),
        }
        return verdicts[how]

    with Proxy.before(scene.plane(), decide, admin=False) as proxy, scene.led_to(proxy.url):
        given = {**scene.named(), "TIDEFLOW_PASSWORD": scene.password}
        run = ("-y", "--debug", "--diff", "inventory.py", *deploys("auth", "credentials"))
        settings = data(*NAMED, *AGAIN, "timeout_minutes=0.1")
        printed = scene.run(f"a write that is {how}", *run, *settings, **given)
    assert sent
    for body in sent:
        for value in (json.loads(body).get("data") or {}).values():
            scene.canaries.add("Secret that was sent", value)
            scene.canaries.add("Secret that was sent", base64.b64decode(value))
    assert "Secret that was sent" in scene.canaries.names
    assert scene.leaks(printed) == set()
    scene.step(f"after {how}", "-y", "inventory.py", *deploys("auth", "credentials"), *data(*NAMED), **given)


def test_no_output_has_one(scene: Scene) -> None:
    """But for the line that shows a password which was made for a rehearsal, to whoever rehearses."""
    assert scene.shown
    assert all(scene.canaries.found(shown) == {"generated password"} for shown in scene.shown)
    assert {what: found for what, text in scene.printed.items() if (found := scene.leaks(text))} == {}
    for what, text in scene.printed.items():
        assert len(text) > 300, what
    assert all("Traceback" not in text for text in scene.printed.values())
    size = sum(map(len, scene.printed.values()))
    print(f"{len(scene.printed)} runs printed {size} characters: 0 hits")  # noqa: T201 - the figures


def program(line: bytes) -> str:
    """Return what a process is, by its command line: a program, or a module or script that Python runs."""
    words = [word.decode(errors="replace") for word in line.split(b"\0")]
    if Path(words[0]).name.startswith("python") and len(words) > 1:
        words = words[2:] if words[1] == "-m" else words[1:]
    return Path(words[0]).name


def test_no_process_has_one_in_its_arguments(scene: Scene) -> None:
    """Of all that run on this machine meanwhile; and environments have only what they were given."""
    started = scene.sampler.started.read_bytes()
    arguments = {line for _, line in scene.sampler.arguments}
    assert scene.canaries.found(started) == set()
    assert {line: found for line in arguments if (found := scene.canaries.found(line))} == {}
    assert b"oauth2-proxy" in started
    assert b"kube-apiserver" in started
    ours = scene.sampler.ours
    having: dict[str, set[str]] = {}
    for (_, line), environ in ours.items():
        if found := scene.canaries.found(environ):
            having.setdefault(program(line), set()).update(found)
    # What people give to a run, it has; what it starts has not, but for what its own pod would have.
    assert having.keys() - {"-c"} == {"pyinfra", "oauth2-proxy"}  # the former on a terminal, too
    assert having["pyinfra"] | having.get("-c", set()) <= {
        "password in the environment",
        "token of the twin",
        "token that is not used",
    }
    assert all(
        name.endswith((" client-secret", " cookie-secret", " OIDC_CLIENT_SECRET", " way to Dex"))
        for name in having["oauth2-proxy"]
    )
    assert {"tideflow.rehearsal.twin", "tideflow.rehearsal.standins"} <= {program(line) for _, line in ours}
    print(  # noqa: T201 - the figures
        f"{len(arguments)} command lines, {len(started.splitlines())} starts told by Python, "
        f"{len(ours)} environments of ours: 0 hits in arguments; in environments: "
        f"{ {name: len(found) for name, found in having.items()} }"
    )


HOLDERS = re.compile(
    r"chosen|group_data/ml-platform\.py|mine/both\.yaml"  # the user's own
    r"|\.tideflow/ml-platform/(access|kubeconfig|password)"
    r"|\.tideflow/ml-platform/rehearsal/token"
    r"|\.tideflow/ml-platform/rehearsal/clusters/[^/]+/(etcd/.*|pki/.*\.key|controllers/.*\.key"
    r"|gateway/issuer\.key)"
)
"""The files of a checkout that have to hold a secret."""


def test_only_files_that_have_to_hold_one_do(scene: Scene) -> None:
    """And nobody else can read these; all that was written anywhere is looked at."""
    scene.collect()
    top = scene.checkout.folder
    size, files, held = 0, 0, 0
    for file in below(top):
        data = content(file)
        size, files = size + len(data), files + 1
        found, name = scene.canaries.found(data), str(file.relative_to(top))
        if not found:
            looks_so = name.startswith(".tideflow") and not HOLDERS.fullmatch(name)
            assert not (looks_so and FORMS.search(data.decode(errors="replace"))), name
            continue
        assert HOLDERS.fullmatch(name), f"{name} holds {found}"
        held += 1
        if name.startswith(".tideflow"):
            assert readers(file, top / ".tideflow") == ""
    assert files > 100
    assert held >= 10
    print(f"{files} files of {size} bytes: {held} have to hold secrets, 0 others do")  # noqa: T201 - the figures


def test_nothing_is_left_elsewhere(scene: Scene) -> None:
    """In temporary folders, and in the cache."""
    there = set(Path(tempfile.gettempdir()).iterdir()) - scene.before - {scene.checkout.folder}
    temporary = [path for path in there if not path.is_symlink()]
    assert scene.temporary.is_dir()
    elsewhere = [
        path for path in below(*temporary, CACHE, since=scene.began) if path.stat().st_size < LARGEST
    ]
    elsewhere += [path for path in temporary if path.is_file()]
    hits = {str(path): found for path in elsewhere if (found := scene.canaries.found(content(path)))}
    assert hits == {}
    assert scene.sampler.started in elsewhere, "it looks where it should"
    print(f"{len(elsewhere)} files below {tempfile.gettempdir()} and {CACHE}: 0 hits")  # noqa: T201 - the figures


def test_nothing_in_the_cluster_has_one_but_secrets(scene: Scene) -> None:
    """Records, annotations, managed fields and Events among all that there is."""
    objects = scene.everything()
    kinds = {found["kind"] for found in objects}
    assert {"ConfigMap", "Event", "Lease", "Pod", "Secret"} <= kinds
    records = [found for found in objects if found["metadata"].get("namespace") == "tideflow"]
    assert records
    size = 0
    for found in objects:
        if found["kind"] == "Secret":
            found = {**found, "data": sorted(found.get("data") or ())}  # noqa: PLW2901 - without values
        text = json.dumps(found)
        size += len(text)
        assert scene.canaries.found(text) == set(), named(found)
        assert "last-applied-configuration" not in text
    print(  # noqa: T201 - the figures
        f"{len(objects)} objects of {len(kinds)} kinds, {size} bytes, {len(records)} of them records: 0 hits"
    )


def test_none_of_upstreams_is_live_after_all_that(scene: Scene) -> None:
    """Not even one that a base brings back; and Dex refuses the one that people would try."""
    objects = scene.everything()
    print(defaults.looked_at(objects))  # noqa: T201 - the figures
    assert list(defaults.left(objects)) == []
    port = json.loads((scene.cluster / "gateway.json").read_text())["port"]
    ingress = scene.checkout.get("ingress", "-n", "istio-system", "kubeflow")
    host = ingress["spec"]["rules"][0]["host"]
    assert refused(f"https://127.0.0.1:{port}", host, OWNER, defaults.PASSWORD)


def test_the_audit_log_and_the_cache_have_none(scene: Scene) -> None:
    """The API server notes who asked for what, and Tideflow keeps what it has parsed; neither keeps data."""
    audit = (scene.rehearsal / "audit.log").read_bytes()
    assert audit.count(b'"resource":"secrets"') > 20
    assert scene.canaries.found(audit) == set()
    assert b'"requestObject"' not in audit
    cache = list(below(scene.checkout.platform / "cache"))
    assert cache
    assert all(scene.canaries.found(content(file)) == set() for file in cache)
    print(f"{len(audit.splitlines())} lines of audit log, {len(cache)} files of cache: 0 hits")  # noqa: T201 - the figures
