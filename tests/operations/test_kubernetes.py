"""``kubernetes.apply`` as users run it: through pyinfra's command, on clusters that are there already."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

import pytest
from tests.integration.planes import eventually

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.integration.planes import Plane
    from tests.operations.conftest import Scratch

    from tideflow.clients.kubernetes import Kubernetes

SECRET = "canary-secret"
APPLY = """
from pyinfra import host
from tideflow.operations import kubernetes

space = f"{host.data.prefix}-" + host.name.partition("/")[2]
pods = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "main", "image": "example.org/main:1"}]},
}
named = {"name": "web", "namespace": space}
kubernetes.apply(
    name="Apply",
    set_name=space,
    timeout=host.data.get("patience", 60),
    source=[
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": named, "stringData": {"key": host.data.secret}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": named,
            "data": {"level": str(host.data.get("level", "low"))},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": named,
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": pods},
        },
    ],
)
"""


def data(**values: str) -> Iterator[str]:
    """Yield pyinfra's arguments for these values."""
    for name, value in {"secret": SECRET, **values}.items():
        yield from ("--data", f"{name}={value}")


def table(done: subprocess.CompletedProcess[str], operation: str = "Apply") -> tuple[int, int, int, int]:
    """Return what pyinfra's closing table counts: hosts, success, error, no change."""
    row = re.search(rf"^ +{operation} +(\S+) +(\S+) +(\S+) +(\S+) *$", done.stderr, re.MULTILINE)
    assert row, done.stderr
    hosts, success, error, same = (0 if found == "-" else int(found) for found in row.groups())
    return hosts, success, error, same


def results(done: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    """Return which hosts ended how, from pyinfra's JSON, without what all of their names begin with."""
    (found,) = json.loads(done.stdout)["results"]["operations"]
    return {
        how: [host.removeprefix("@kubeconfig/") for host in sorted(found[how])]
        for how in ("success", "error", "no_change")
    }


def test_what_pyinfra_counts_is_what_was_done(here: Scratch, client: Kubernetes) -> None:
    """Created, then no change and not one write, then the one object that differs; nothing in a dry run."""
    here.write("apply.py", APPLY)
    values = list(data(prefix="counted"))

    mark = len(here.requests())
    planned = here.pyinfra("--dry", "apply.py", *values)
    assert planned.returncode == 0, planned.stderr
    assert "would create Deployment counted-one/web" in planned.stderr
    assert here.writes(mark) == []

    created = here.pyinfra("-y", "apply.py", *values)
    assert created.returncode == 0, created.stderr
    assert "4 created, 0 changed, 0 unchanged" in created.stderr
    assert table(created) == (1, 1, 0, 0)

    mark = len(here.requests())
    same = here.pyinfra("-y", "apply.py", *values)
    assert same.returncode == 0, same.stderr
    assert table(same) == (1, 0, 0, 1)
    assert here.writes(mark) == []

    changed = here.pyinfra("-y", "apply.py", *values, "--data", "level=high")
    assert changed.returncode == 0, changed.stderr
    assert "0 created, 1 changed, 3 unchanged" in changed.stderr
    assert table(changed) == (1, 1, 0, 0)
    assert client.get("/api/v1/namespaces/counted-one/configmaps/web")["data"] == {"level": "high"}


def test_hosts_run_side_by_side_and_ones_error_is_its_own(here: Scratch, client: Kubernetes) -> None:
    """The other ends as it would have alone, whether the error is met at the door or on the way."""
    here.write("apply.py", APPLY)
    here.inventory("one", "two")
    values = list(data(prefix="several"))
    both = here.pyinfra("-y", "--json", "apply.py", *values)
    assert both.returncode == 0, both.stderr
    assert results(both) == {"success": ["one", "two"], "error": [], "no_change": []}

    config_map = "/api/v1/namespaces/several-{}/configmaps/web"
    client.patch(config_map.format("two"), {"immutable": True})
    here.inventory("one", "two", "stranger")
    values.extend(("--data", "level=high"))
    one = here.pyinfra("-y", "--json", "apply.py", *values)
    assert one.returncode == 1
    assert results(one) == {"success": ["one"], "error": ["two"], "no_change": []}
    assert "[@kubeconfig/stranger] " in one.stderr
    assert "the credentials in the kubeconfig are wrong or have expired" in one.stderr
    assert re.search(r"\[@kubeconfig/two\] +ConfigMap several-two/web failed: .* immutable", one.stderr)
    assert "Traceback" not in one.stderr
    levels = [client.get(config_map.format(name))["data"]["level"] for name in ("one", "two")]
    assert levels == ["high", "low"]


def test_a_rerun_is_not_content_over_pods_that_are_not_ready(
    here: Scratch, client: Kubernetes, plane: Plane
) -> None:
    """It waits for them, and says which; it changes nothing, whether they get ready or not."""
    here.write("apply.py", APPLY)
    values = list(data(prefix="waiting"))
    first = here.pyinfra("-y", "apply.py", *values)
    assert first.returncode == 0, first.stderr
    pods = "/api/v1/namespaces/waiting-one/pods"
    plane.start(pod_ready_seconds=(3600, 3600))
    try:
        (old,) = client.get(pods)["items"]
        client.delete(f"{pods}/{old['metadata']['name']}")
        eventually(lambda: unready(client), lambda number: number == 1)

        mark = len(here.requests())
        impatient = here.pyinfra("-y", "apply.py", *values, "--data", "patience=1")
        assert impatient.returncode == 1
        assert "Deployment waiting-one/web is not ready after 1 s: main: Container" in impatient.stderr
        assert here.writes(mark) == []

        mark = len(here.requests())
        patient = here.begin("pyinfra", "inventory.py", "-y", "apply.py", *values, KUBECONFIG=here.kubeconfig)
        try:
            # It has looked, and has seen what is not ready, before anything gets ready.
            looked = "/apis/apps/v1/deployments"
            eventually(lambda: [path for path in paths(here, mark) if path.startswith(looked)])
            assert patient.poll() is None
        finally:
            plane.start()
            stdout, stderr = patient.communicate(timeout=120)
    finally:
        plane.start()
    assert patient.returncode == 0, stdout + stderr
    assert re.search(r"Apply +1 +- +- +1 ", stderr), stderr
    assert here.writes(mark) == []
    assert unready(client) == 0


def unready(client: Kubernetes) -> int:
    """Return how many pods a Deployment is short of."""
    status = client.get("/apis/apps/v1/namespaces/waiting-one/deployments/web")["status"]
    return int(status.get("unavailableReplicas", 0))


def paths(here: Scratch, mark: int) -> list[str]:
    """Return what was asked for."""
    return [event["requestURI"] for event in here.requests(mark)]


def test_a_template_that_lacks_a_value_ends_the_run(here: Scratch) -> None:
    """With one line that names both, before anything is written."""
    here.write("level.yaml.j2", "kind: ConfigMap\ndata: {level: {{ level | tojson }}}\n")
    here.write(
        "rendered.py",
        "from pathlib import Path\n"
        "from tideflow.operations import kubernetes\n"
        'objects = kubernetes.render(Path("level.yaml.j2"), other="x")\n'
        'kubernetes.apply(name="Apply", set_name="rendered", source=objects)\n',
    )
    mark = len(here.requests())
    done = here.pyinfra("-y", "rendered.py")
    assert done.returncode == 1
    assert "[@kubeconfig/one] level.yaml.j2 cannot be rendered: 'level' is undefined" in done.stderr
    assert "Traceback" not in done.stderr
    assert here.writes(mark) == []


def test_no_secret_is_in_any_output(here: Scratch, client: Kubernetes) -> None:
    """Neither the token nor what a Secret holds, however much pyinfra is asked to tell."""
    here.write("apply.py", APPLY.replace("host.data.secret", f'"{SECRET}"'))
    loud = ("--debug", "-vvv", "--diff")
    values = ("--data", "prefix=told")
    created = here.pyinfra("-y", *loud, "apply.py", *values)
    assert created.returncode == 0, created.stderr
    client.patch("/api/v1/namespaces/told-one/secrets/web", {"stringData": {"key": "canary-other"}})
    planned = here.pyinfra("--dry", *loud, "apply.py", *values)
    assert "Secret told-one/web" in planned.stderr
    encoded = base64.b64encode(SECRET.encode()).decode().rstrip("=")
    for text in (created.stdout, created.stderr, planned.stdout, planned.stderr):
        assert "canary" not in text
        assert encoded not in text


def test_contexts_may_be_in_several_files(here: Scratch) -> None:
    """As kubectl has it: KUBECONFIG lists files, and a context is that of the first that has it."""
    here.write("empty", "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n")
    here.write("apply.py", APPLY)
    files = f"{here.folder / 'empty'}:{here.kubeconfig}"
    command = ("pyinfra", "inventory.py", "-y", "apply.py", *data(prefix="files"))
    done = here.run(*command, check=False, KUBECONFIG=files)
    assert done.returncode == 0, done.stderr
    here.inventory("missing")
    missing = here.run(*command, check=False, KUBECONFIG=files)
    assert missing.returncode == 1
    assert f"check it with: KUBECONFIG={files} kubectl config get-contexts" in missing.stderr


MOVE = """
from pyinfra import host
from tideflow.operations import kubernetes

def config_map(name):
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"x": "1"}}

for name in ("first", "second"):
    source = [config_map(name), *([config_map("moves")] if name == host.data.at else ())]
    kubernetes.apply(name=name, set_name=f"move-{name}", source=source, prune="everything")
"""


def test_what_moves_to_a_later_step_of_the_same_run_is_not_deleted(here: Scratch, client: Kubernetes) -> None:
    """The step that had it comes first, when no other set has applied it yet."""
    here.write("apply.py", MOVE)
    path = "/api/v1/namespaces/default/configmaps/moves"
    first = here.pyinfra("-y", "apply.py", "--data", "at=first")
    assert first.returncode == 0, first.stderr
    uid = client.get(path)["metadata"]["uid"]
    moved = here.pyinfra("-y", "apply.py", "--data", "at=second")
    assert moved.returncode == 0, moved.stderr
    assert "ConfigMap default/moves: the set move-second has it now" in moved.stderr
    live = client.get(path)
    assert live["metadata"]["uid"] == uid
    again = here.pyinfra("-y", "apply.py", "--data", "at=second")
    assert again.returncode == 0, again.stderr
    managers = {entry["manager"] for entry in client.get(path)["metadata"]["managedFields"]}
    assert managers == {"tideflow-move-second"}


TWO_SETS = """
from pathlib import Path

from tideflow.operations import kubernetes

kubernetes.apply(name="Definitions", source=Path("operators"), set_name="operators", prune="objects")
kubernetes.apply(name="Shop", source=kubernetes.render(Path("shop.yaml.j2"), level="low"), set_name="shop")
"""
DEFINITION = """
apiVersion: v1
kind: Namespace
metadata: {name: foreseen}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shops.foreseen.example.org}
spec:
  group: foreseen.example.org
  scope: Namespaced
  names: {kind: Shop, plural: shops, singular: shop, listKind: ShopList}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
SHOP = """
apiVersion: foreseen.example.org/v1
kind: Shop
metadata: {name: corner, namespace: foreseen}
spec: {level: {{ level | tojson }}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: corner, namespace: foreseen}
data: {level: {{ level | tojson }}}
"""


def test_what_earlier_sets_make_is_there_for_later_ones_in_the_plan_too(here: Scratch) -> None:
    """Types and namespaces; what no set makes is refused, by the name of the template it came from."""
    (here.folder / "operators").mkdir()
    here.write("operators/all.yaml", DEFINITION)
    here.write("shop.yaml.j2", SHOP)
    here.write("both.py", TWO_SETS)
    for wrong, right in (("kind: Shop", "kind: Shopp"), ("namespace: foreseen", "namespace: forseen")):
        here.write("shop.yaml.j2", SHOP.replace(wrong, right))
        refused = here.pyinfra("--dry", "both.py")
        assert refused.returncode == 1
        assert "correct shop.yaml.j2, object 1" in refused.stderr

    here.write("shop.yaml.j2", SHOP)
    planned = here.pyinfra("--dry", "both.py")
    assert planned.returncode == 0, planned.stderr
    assert "would create Shop foreseen/corner" in planned.stderr
    done = here.pyinfra("-y", "both.py")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("2 created, 0 changed, 0 unchanged") == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("conflict='own'", "apply: got an unexpected keyword argument 'conflict'; it takes source, set_name"),
        ("timeout='600'", "of the set wrong, timeout is '600'; it is a number of seconds, more than 0"),
        ("timeout=0", "of the set wrong, timeout is 0; it is a number of seconds, more than 0"),
        ("wait='no'", "of the set wrong, wait is 'no'; it is True or False"),
        ("replace='Job'", "of the set wrong, replace is 'Job'; it is a list of kinds"),
        ("replace=['Deployment']", "replace has 'Deployment', which is never deleted to be changed"),
        ("prune='all'", "prune is 'all'; it is one of: off, objects, everything"),
        (
            "source=secret",
            'source is a dict; it is a Path, as in source=Path("folder"), or a list of objects',
        ),
        ("source=[secret, None]", "source is a list of NoneType, dict; it is"),
        ("source=[]", "there is no object in the source; if all that the set ever had is to go, write"),
        ("source=[{'kind': 'Secret'}]", "object 1 holds an object without apiVersion"),
        ("source=Path('bad.yaml')", "bad.yaml, line 2"),
    ],
)
def test_what_cannot_be_applied_is_refused_before_an_earlier_set_is_written(
    here: Scratch, arguments: str, told: str
) -> None:
    """One line says what is wrong, and what would be right; what may be secret is not quoted."""
    given = arguments if "source=" in arguments else f"source=[secret], {arguments}"
    here.write("bad.yaml", "a: 1\n  b: 2\n")
    here.write(
        "apply.py",
        f"""
from pathlib import Path

from tideflow.operations import kubernetes

named = {{"name": "first", "namespace": "default"}}
secret = {{"apiVersion": "v1", "kind": "Secret", "metadata": named, "stringData": {{"key": "{SECRET}"}}}}
first = {{"apiVersion": "v1", "kind": "ConfigMap", "metadata": named}}
kubernetes.apply(name="First", source=[first], set_name="first")
kubernetes.apply(name="Second", set_name="wrong", {given})
""",
    )
    mark = len(here.requests())
    refused = here.pyinfra("-y", "apply.py")
    assert refused.returncode == 1
    assert told in refused.stderr
    assert SECRET not in refused.stderr
    assert "defect" not in refused.stderr
    assert here.writes(mark) == []


def test_deploy_files_know_whether_the_run_is_dry(here: Scratch) -> None:
    """They are loaded in greenlets, which have no context of the command's."""
    here.write(
        "dry.py",
        "from pyinfra import host\n"
        "from tideflow.operations.running import is_dry\n"
        "host.log(f'dry is {is_dry()}')\n",
    )
    assert "dry is True" in here.pyinfra("--dry", "dry.py").stderr
    assert "dry is False" in here.pyinfra("-y", "dry.py").stderr


SETS = """
from pyinfra import host
from tideflow.operations import kubernetes


def named(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "sets-x"}}


space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sets-x"}}
"""


@pytest.mark.parametrize(
    "second", ["named('b')", "{**space, 'metadata': {'name': 'sets-x', 'labels': {'a': 'b'}}}"]
)
def test_two_operations_do_not_share_a_set(here: Scratch, second: str) -> None:
    """Each would delete what the other has, or change it back in every run."""
    here.write(
        "apply.py",
        SETS
        + "kubernetes.apply(name='One', set_name='sets', source=[space])\n"
        + f"kubernetes.apply(name='Two', set_name='sets', source=[{second}])\n",
    )
    refused = here.pyinfra("-y", "apply.py")
    assert refused.returncode == 1
    assert "two operations of this run apply different objects as the set sets; give each" in refused.stderr


def test_two_sets_do_not_fight_over_an_object(here: Scratch) -> None:
    """Where they differ about it, each run would change it twice; nothing of either is written."""
    here.write(
        "apply.py",
        SETS
        + "from pathlib import Path\n"
        + "kubernetes.apply(name='Later', set_name='sets-later', source=Path('not-there.yaml'))\n"
        + "kubernetes.apply(name='One', set_name='sets-one', source=[space])\n"
        + "labelled = {**space, 'metadata': {'name': 'sets-x', 'labels': {'a': 'b'}}}\n"
        + "kubernetes.apply(name='Two', set_name='sets-two', source=[named('b'), labelled])\n",
    )
    mark = len(here.requests())
    refused = here.pyinfra("-y", "apply.py")
    assert refused.returncode == 1
    told = "Namespace sets-x is in the sets sets-one (object 1) and sets-two (object 2), and differs; keep"
    assert told in refused.stderr
    assert here.writes(mark) == []


def test_what_a_later_set_needs_is_not_deleted_and_not_announced_so(here: Scratch) -> None:
    """An object that moves, and the Namespace that another set has objects in."""
    first = "kubernetes.apply(name='One', set_name='sets-mva', source=[{}], prune='everything')\n"
    second = "kubernetes.apply(name='Two', set_name='sets-mvb', source=[{}])\n"
    other = "{**space, 'metadata': {'name': 'sets-y'}}"
    here.write("apply.py", SETS + first.format(f"{other}, space, named('mv')"))
    assert here.pyinfra("-y", "apply.py").returncode == 0

    here.write("apply.py", SETS + first.format(other) + second.format("named('mv'), named('new')"))
    planned = here.pyinfra("--dry", "apply.py")
    assert planned.returncode == 0, planned.stderr
    for expected in (
        "would not delete ConfigMap sets-x/mv of sets-mva after all: the set sets-mvb has it now",
        "would not delete Namespace sets-x of sets-mva after all: the set sets-mvb has objects in it",
    ):
        assert expected in planned.stderr
    done = here.pyinfra("-y", "apply.py")
    assert done.returncode == 0, done.stderr
    for expected in (
        "leave what sets-mva no longer has, ConfigMap sets-x/mv: the set sets-mvb has it now",
        "leave what sets-mva no longer has, Namespace sets-x: the set sets-mvb has objects in it",
    ):
        assert expected in done.stderr


def test_a_set_that_is_to_have_nothing_any_more(here: Scratch) -> None:
    """It is said by None, which no template or folder becomes by accident."""
    before = "kubernetes.apply(name='One', set_name='sets-none', prune='objects', source={})\n"
    here.write("apply.py", SETS.replace("sets-x", "default") + before.format("[named('none')]"))
    assert here.pyinfra("-y", "apply.py").returncode == 0
    here.write("apply.py", SETS + before.format("None"))
    assert "would delete ConfigMap default/none" in here.pyinfra("--dry", "apply.py").stderr
    done = here.pyinfra("-y", "apply.py")
    assert done.returncode == 0, done.stderr
    assert "1 pruned" in done.stderr
    assert "No changes" in here.pyinfra("-y", "apply.py").stderr


def test_what_comes_first_in_the_run_is_not_held_against_what_follows(here: Scratch) -> None:
    """A pod's account, and a definition that is not awaited; but a version that it does not have is."""
    pod = {"containers": [{"name": "main", "image": "example.org/main:1"}], "serviceAccountName": "podsa"}
    named = {"name": "podsa", "namespace": "default"}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named}
    here.write(
        "apply.py",
        SETS
        + f"pod = {{'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {named}, 'spec': {pod}}}\n"
        + f"kubernetes.apply(name='One', set_name='sets-pod', source=[pod, {account}], wait=False)\n",
    )
    planned = here.pyinfra("--dry", "apply.py")
    assert "would fail" not in planned.stderr
    assert "would create Pod default/podsa (cannot be told now: ServiceAccount default/podsa is written" in (
        planned.stderr
    )
    done = here.pyinfra("-y", "apply.py")
    assert done.returncode == 0, done.stderr
    assert "2 created, 0 changed, 0 unchanged, 0 pruned in" in done.stderr
    assert ", not waited for" in done.stderr

    definition = DEFINITION.replace("foreseen", "unawaited").replace("Shop", "Stall").replace("shop", "stall")
    stall = SHOP.partition("---")[0].replace("foreseen", "unawaited").replace("Shop", "Stall")
    here.write("definition.yaml", definition)
    here.write("stall.yaml.j2", stall)
    here.write(
        "apply.py",
        "from pathlib import Path\n"
        "from tideflow.operations import kubernetes\n"
        "stall = kubernetes.render('stall.yaml.j2', level='x')\n"
        "kubernetes.apply(name='One', set_name='stalls', source=Path('definition.yaml'), wait=False)\n"
        "kubernetes.apply(name='Two', set_name='stall', source=stall)\n",
    )
    done = here.pyinfra("-y", "apply.py")
    assert done.returncode == 0, done.stderr

    here.write("stall.yaml.j2", stall.replace("/v1", "/v2"))
    planned = here.pyinfra("--dry", "apply.py")
    assert "is of a type that nobody defines: unawaited.example.org/v2 Stall" in planned.stderr


def test_a_dry_run_in_which_something_would_fail_ends_as_a_failure(here: Scratch) -> None:
    """So that a pipeline stops there; all of it is announced nevertheless."""
    good = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "good", "namespace": "default"}}
    bad = {**good, "metadata": {"name": "bad", "namespace": "default"}, "datta": {}}
    here.write(
        "apply.py",
        SETS
        + f"kubernetes.apply(name='One', set_name='sets-dry', source=[{good}])\n"
        + f"kubernetes.apply(name='Two', set_name='sets-bad', source=[{bad}])\n"
        + "other = {**space, 'metadata': {'name': 'sets-dry'}}\n"
        + "kubernetes.apply(name='Three', set_name='sets-more', source=[other])\n",
    )
    mark = len(here.requests())
    planned = here.pyinfra("--dry", "apply.py")
    assert planned.returncode == 1
    assert "would create ConfigMap default/good" in planned.stderr
    assert "would fail to create ConfigMap default/bad, as things are now" in planned.stderr
    assert "would create Namespace sets-dry" in planned.stderr
    assert "1 object of sets-bad would fail, so this dry run does too" in planned.stderr
    assert here.writes(mark) == []
