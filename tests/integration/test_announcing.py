"""What --dry and --diff announce is what a run does, on a real API server and through pyinfra's command."""

from __future__ import annotations

import base64
import copy
import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.integration.deploying import PROJECT, Checkout
from tests.integration.planes import eventually
from tests.integration.test_writing import kubectl
from tests.unit.engine.objects import config_map, custom, definition, deployment, key, namespace

from tideflow.engine import announcement, diff
from tideflow.engine.applying import Application, Options
from tideflow.engine.manifests import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.planes import Plane

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.applying import Difference, Plan
    from tideflow.engine.manifests import Key

WRITES = {"create", "patch", "update", "delete"}
SET = "announced"


@pytest.fixture(scope="module")
def cluster(plane: Plane) -> Iterator[Kubernetes]:
    """Return a client whose requests are audited."""
    plane.reviews.users["announcing"] = "announcing@example.org"
    client = plane.platform_client("announcing")
    yield client
    client.close()


@pytest.fixture
def space(cluster: Kubernetes, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return a namespace's name of the test's own; what was made under it is deleted after it."""
    name = f"a{abs(hash(request.node.name)) % 10**8}"
    yield name
    for collection, theirs in (
        ("/api/v1/namespaces", name),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", name),
        ("/api/v1/namespaces/tideflow/configmaps", f"{SET}-"),
    ):
        for item in cluster.get(collection)["items"]:
            if theirs in item["metadata"]["name"]:
                cluster.delete(f"{collection}/{item['metadata']['name']}")


def secret(name: str, space: str, **data: str) -> dict[str, Any]:
    """Return a Secret."""
    encoded = {field: base64.b64encode(text.encode()).decode() for field, text in data.items()}
    metadata = {"name": name, "namespace": space}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}


def application(cluster: Kubernetes, objects: list[dict[str, Any]], **options: Any) -> Application:
    """Return a set to apply; nothing runs pods here, so nothing waits for them."""
    return Application(
        cluster, set_name=SET, manifests=load(objects), options=Options(timeout=60, wait=False, **options)
    )


def apply(cluster: Kubernetes, objects: list[dict[str, Any]], **options: Any) -> Plan:
    """Apply them, and return what was planned."""
    applying = application(cluster, objects, **options)
    plan = applying.plan()
    applying.run(plan, progress=lambda _: None)
    return plan


def differences(
    cluster: Kubernetes, objects: list[dict[str, Any]], **options: Any
) -> tuple[Plan, dict[Key, Difference]]:
    """Return what would be done, and announced, without doing it."""
    applying = application(cluster, objects, **options)
    plan = applying.plan()
    return plan, applying.differences(plan, created=True, progress=lambda _: None)


def live(cluster: Kubernetes, wanted: Key) -> dict[str, Any]:
    """Return an object as it is, less what the Deployment controller writes into it on its own."""
    resource = cluster.resources(refresh=True).of_kind(wanted.group, wanted.kind)
    assert resource is not None
    found: dict[str, Any] = cluster.get(resource.path(wanted.namespace, wanted.name))
    (found["metadata"].get("annotations") or {}).pop("deployment.kubernetes.io/revision", None)
    return found


def written(plane: Plane, since: int) -> set[str]:
    """Return the paths that were written according to the audit log, records of our own apart."""
    return {
        event["requestURI"].partition("?")[0]
        for event in plane.audited()[since:]
        if event["verb"] in WRITES
        and "dryRun=All" not in event["requestURI"]
        and event.get("userAgent", "").startswith("tideflow/")
        and "/namespaces/tideflow" not in event["requestURI"]
    }


def before_and_after(space: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a set, and the same set as it is wanted later."""
    before = [
        namespace(space),
        definition(f"Old{space}"),
        config_map("same", space, x="1"),
        config_map("edited", space, stays="1", changes="old", goes="1"),
        config_map("taken", space, x="ours"),
        config_map("proven-again", space, x="1"),
        secret("hidden", space, stays="canary-1", changes="canary-2", goes="canary-3"),
        deployment("scaled", space),
        deployment("fields", space),
    ]
    after = copy.deepcopy(before)
    after[3]["data"] = {"stays": "1", "changes": "new", "comes": "1"}
    after[6]["data"] = secret("hidden", space, stays="canary-1", changes="canary-4", comes="canary-5")["data"]
    spec = after[8]["spec"]["template"]["spec"]
    spec["containers"] = [
        {"name": "init", "image": "example.org/init:1"},
        {"name": "main", "image": "example.org/main:2", "ports": [{"containerPort": 80}]},
    ]
    new = f"{space}-new"
    after += [
        namespace(new),
        config_map("c", new, x="1"),
        definition(f"New{space}"),
        custom(f"New{space}", "n", new),
        secret("made", space, k="canary-6"),
    ]
    return before, after


def test_what_is_announced_is_what_is_written_and_how(plane: Plane, cluster: Kubernetes, space: str) -> None:
    """Objects by the audit log, fields by what was live before and is after."""
    before, after = before_and_after(space)
    apply(cluster, before)
    maps, deployments = (
        f"/api/v1/namespaces/{space}/configmaps",
        f"/apis/apps/v1/namespaces/{space}/deployments",
    )
    cluster.patch(f"{deployments}/scaled", {"spec": {"replicas": 5}})
    for name, text in (("taken", "theirs"), ("proven-again", "1")):
        cluster.apply(f"{maps}/{name}", config_map(name, space, x=text), field_manager="somebody")
    # The same value is owned by both; without our own entry nothing is proven.
    cluster.patch(f"{maps}/proven-again", {"metadata": {"annotations": {"tideflow.dev/applied": "forged"}}})

    mark = len(plane.audited())
    plan, announced = differences(cluster, after)
    assert written(plane, mark) == set()
    names = {wanted.name for wanted in plan.changed}
    assert names == {"edited", "taken", "proven-again", "hidden", "scaled", "fields"}
    assert set(announced) == {*plan.created, *plan.changed}
    assert {wanted.name for wanted, found in announced.items() if found.nothing} == {
        "proven-again",
        f"{space}-new",  # of a Namespace there is nothing to tell but its name
    }
    assert not any(found.unknown for found in announced.values())
    was = {wanted: live(cluster, wanted) for wanted in plan.changed}

    mark = len(plane.audited())
    done = apply(cluster, after)
    assert (done.created, done.changed, done.unchanged) == (plan.created, plan.changed, plan.unchanged)
    resources = cluster.resources(refresh=True)
    paths = {
        found.path(wanted.namespace, wanted.name)
        for wanted in announced
        if (found := resources.of_kind(wanted.group, wanted.kind))
    }
    assert len(paths) == len(announced)
    eventually(lambda: written(plane, mark), lambda found: found >= paths)
    assert written(plane, mark) == paths
    for wanted in plan.changed:
        assert announced[wanted].changes == diff.compare(was[wanted], live(cluster, wanted)), wanted
    for wanted in plan.created:
        body = live(cluster, wanted)
        for change in announced[wanted].changes:
            assert change in diff.additions(body) or change.field.startswith("spec.versions"), change


def test_it_is_told_line_by_line_without_a_secrets_value(cluster: Kubernetes, space: str) -> None:
    """One line for each object without --diff; with it, one for each field."""
    before, after = before_and_after(space)
    apply(cluster, before)
    plan, announced = differences(cluster, after)
    changed = {wanted: announced[wanted] for wanted in plan.changed}
    lines = [line.text for line in announcement.lines(plan, changed, full=False, word="would")]
    hidden = "data.changes (not shown); - data.goes (not shown); + data.comes (not shown)"
    for expected in (
        f"would create ConfigMap {space}-new/c",
        f"would create Secret {space}/made",
        f"would change ConfigMap {space}/edited: data.changes: old → new; - data.goes; + data.comes: 1",
        f"would change Secret {space}/hidden: {hidden}",
        "would leave 6 objects as they are",
    ):
        assert expected.replace("comes: 1", 'comes: "1"') in lines
    full = [line.text for line in announcement.lines(plan, announced, full=True, word="will")]
    start = full.index(f"will change Deployment {space}/fields")
    assert (
        "spec.template.spec.containers[main].image: example.org/main:1 → example.org/main:2"
        in full[start + 1]
    )
    assert full[full.index(f"will create Secret {space}/made") + 1] == "    + data.k: (not shown)"
    values = [f"canary-{number}" for number in range(1, 7)]
    values += [base64.b64encode(value.encode()).decode() for value in values]
    assert not any(value in line for value in values for line in (*lines, *full))


def test_what_the_server_would_refuse_is_said_with_the_reason(cluster: Kubernetes, space: str) -> None:
    """An immutable field is refused in a dry run too; a Secret's refusal says nothing of its data."""
    fixed = {**config_map("fixed", space, x="1"), "immutable": True}
    hidden = {**secret("hidden", space, k="canary"), "immutable": True}
    numbered = secret("numbered", space, k="canary")
    objects = [namespace(space), fixed, hidden, numbered]
    apply(cluster, objects)
    other = [
        objects[0],
        {**fixed, "data": {"x": "2"}},
        {**hidden, "data": {"k": "Y2FuYXJ5LTI="}},
        {**numbered, "data": {"k": 17171717}},
    ]
    _, announced = differences(cluster, other)
    assert "immutable" in announced[key(fixed)].refused
    assert announced[key(hidden)].refused.startswith("data cannot be changed once it is there")
    assert announced[key(numbered)].refused.startswith("the server answers 500: .data.k: expected")
    for found in (hidden, numbered):
        assert not re.search("canary|Y2Fu|17171717", repr(announced[key(found)]))


def test_new_objects_are_announced_as_refused_where_the_run_would_fail(
    cluster: Kubernetes, space: str
) -> None:
    """The server is asked about what has a place already; of many, each that it refuses is named."""
    apply(cluster, [namespace(space)])
    misspelt = {**config_map("misspelt", space), "datta": {"x": "1"}}
    misnamed = config_map("A_b", space, x="1")
    elsewhere = config_map("A_b", f"{space}-new", x="1")
    many = [config_map(f"m{number}", space, x="1") for number in range(25)]
    objects = [namespace(space), misspelt, misnamed, namespace(f"{space}-new"), elsewhere, *many]
    plan, announced = differences(cluster, objects)
    assert announced[key(misspelt)].refused == (
        "the server answers 500: .datta: there is no such field (object 2)"
    )
    assert "metadata.name: Invalid value" in announced[key(misnamed)].refused
    assert not announced[key(elsewhere)].refused
    lines = [line.text for line in announcement.lines(plan, announced, full=False, word="would")]
    assert lines[0] == "would create 27 objects: 26 ConfigMap, 1 Namespace"
    assert [line.partition(", as things are now: ")[0] for line in lines[1:3]] == [
        f"would fail to create ConfigMap {space}/misspelt",
        f"would fail to create ConfigMap {space}/A_b",
    ]
    full = [line.text for line in announcement.lines(plan, announced, full=True, word="would")]
    assert f"would create ConfigMap {space}/m24" in full
    assert any(line.startswith(f"would fail to create ConfigMap {space}/misspelt, ") for line in full)
    assert cluster.get(f"/api/v1/namespaces/{space}/configmaps")["items"] == [
        found
        for found in cluster.get(f"/api/v1/namespaces/{space}/configmaps")["items"]
        if found["metadata"]["name"] == "kube-root-ca.crt"
    ]


@pytest.mark.parametrize("how", [(), ("--server-side",)])
def test_what_kubectl_applied_is_announced_as_it_is_taken_over(
    plane: Plane, cluster: Kubernetes, space: str, how: tuple[str, ...]
) -> None:
    """Fields that only kubectl's manifest had go, and defaults come in their place; others' fields stay."""
    theirs = deployment("d", space)
    theirs["metadata"]["labels"] = {"kubectls": "1"}
    theirs["spec"]["revisionHistoryLimit"] = 3
    main = theirs["spec"]["template"]["spec"]["containers"][0]
    main |= {"imagePullPolicy": "Never", "args": ["--theirs"], "ports": [{"containerPort": 1}]}
    settings = config_map("c", space, x="1", theirs="1")
    kubectl(plane, [namespace(space), theirs, settings], *how)
    cluster.patch(
        f"/api/v1/namespaces/{space}/configmaps/c",
        {"data": {"others": "1"}},
        query={"fieldManager": "somebody"},
    )
    ours = [namespace(space), deployment("d", space), config_map("c", space, x="1")]
    plan, announced = differences(cluster, ours)
    assert {found.name for found in plan.changed} == {space, "d", "c"}
    was = {wanted: live(cluster, wanted) for wanted in plan.changed}
    apply(cluster, ours)
    for wanted in plan.changed:
        assert announced[wanted].changes == diff.compare(was[wanted], live(cluster, wanted)), wanted
        assert announced[wanted].notes == (f"{wanted} was kubectl's, and is taken over",)
    fields = {change.field for change in announced[key(ours[1])].changes}
    assert {"spec.revisionHistoryLimit", "spec.template.spec.containers[main].args"} <= fields
    assert "data.theirs" in {change.field for change in announced[key(ours[2])].changes}


def test_what_is_left_to_others_or_made_anew_is_announced(cluster: Kubernetes, space: str) -> None:
    """By the stance of the run on conflicts and on fields that cannot be changed."""
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": space},
        "spec": {
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "m", "image": "x"}]}}
        },
    }
    objects = [namespace(space), deployment("d", space), job]
    apply(cluster, objects)
    path = f"/apis/apps/v1/namespaces/{space}/deployments/d"
    cluster.patch(path, {"spec": {"replicas": 3}}, query={"fieldManager": "somebody"})
    other = copy.deepcopy(objects)
    other[2]["spec"]["template"]["spec"]["containers"][0]["image"] = "y"
    conflict = "somebody owns .spec.replicas (there 3, wanted 1)"
    for stance, expected in (
        ("own", f"would change Deployment {space}/d: spec.replicas: 3 → 1"),
        ("yield", f"      Deployment {space}/d: .spec.replicas left to somebody"),
        (
            "fail",
            f"would fail to change Deployment {space}/d, as things are now: {conflict} (object 2)",
        ),
    ):
        plan, announced = differences(cluster, other, conflicts=stance, replace=("Job",))
        lines = [line.text for line in announcement.lines(plan, announced, full=False, word="would")]
        assert expected in lines
        assert (
            f"would change Job {space}/j by deleting it and making it anew: "
            "spec.template cannot be changed once it is there"
        ) in lines
    _, announced = differences(cluster, other)
    assert announced[key(job)].refused == (
        "spec.template cannot be changed once it is there (field is immutable) (object 3)"
    )


def test_without_a_cluster_everything_is_created(space: str) -> None:
    """What each object will have is told from its manifest."""
    applying = Application(
        None, set_name=SET, manifests=load([namespace(space), config_map("c", space, x="y")])
    )
    plan = applying.plan()
    lines = [
        line.text
        for line in announcement.lines(
            plan, applying.differences(plan, created=True, progress=lambda _: None), full=True, word="would"
        )
    ]
    assert lines == [
        f"would create Namespace {space}",
        f"would create ConfigMap {space}/c",
        "    + data.x: y",
    ]


@pytest.fixture
def deploying(plane: Plane, tmp_path: Path) -> Checkout:
    """Return a folder in which pyinfra applies objects.json to the test's cluster."""
    config = yaml.safe_load(plane.control_plane.admin_kubeconfig.read_text())
    config["contexts"][0]["name"] = config["current-context"] = "plane"
    shutil.copytree(PROJECT / "group_data", tmp_path / "group_data")
    (tmp_path / "kubeconfig").touch(mode=0o600)
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    settings = {"hostname": "kubeflow.example.org", "email": "somebody@example.org"}
    (tmp_path / "inventory.py").write_text(f"platforms = [('@kubeconfig/plane', {settings!r})]\n")
    (tmp_path / "deploy.py").write_text(
        "from pathlib import Path\n"
        "from tideflow.operations import kubernetes\n"
        "kubernetes.apply(name='Objects', source=Path('objects.json'), set_name='announced', wait=False)\n"
    )
    return Checkout(tmp_path)


def pyinfra(checkout: Checkout, objects: list[dict[str, Any]], *options: str) -> str:
    """Run the deploy as a user does, and return all that was printed."""
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    (checkout.folder / "objects.json").write_text(json.dumps(listed))
    done = checkout.run(
        "pyinfra", *options, "inventory.py", "deploy.py", KUBECONFIG=str(checkout.folder / "kubeconfig")
    )
    return done.stdout + done.stderr


def test_pyinfra_announces_it_and_shows_no_secret(
    cluster: Kubernetes, deploying: Checkout, space: str
) -> None:
    """--dry writes nothing, --diff adds fields, in a run too; no value is printed, even with --debug."""
    before, after = before_and_after(space)
    first = pyinfra(deploying, before, "--dry", "--diff", "--debug")
    assert f"would create Deployment {space}/scaled" in first
    assert "+ spec.template.spec.containers[main].image: example.org/main:1" in first
    printed = [first, pyinfra(deploying, before, "-y", "--debug")]
    versions = {found["metadata"]["name"]: live(cluster, key(found)) for found in before}

    dry = pyinfra(deploying, after, "--dry")
    assert f"would change ConfigMap {space}/edited: data.changes: old → new;" in dry
    assert f"would create New{space} {space}-new/n" in dry
    fully = pyinfra(deploying, after, "--dry", "--diff", "--debug")
    assert re.search(
        rf"would change Secret {space}/hidden\n.* data.changes: another value \(not shown\)\n", fully
    )
    assert {found["metadata"]["name"]: live(cluster, key(found)) for found in before} == versions

    done = pyinfra(deploying, after, "-y", "--diff", "--debug")
    assert re.search(rf"will change ConfigMap {space}/edited\n.* data.changes: old → new\n", done)
    assert "5 created, 3 changed, 6 unchanged" in done
    assert "would" not in done
    printed += [dry, fully, done]
    values = [f"canary-{number}" for number in range(1, 7)]
    values += [base64.b64encode(value.encode()).decode() for value in values]
    assert not [value for value in values for text in printed if value in text]
    assert "\x1b" not in f"{dry}{fully}{done}"
