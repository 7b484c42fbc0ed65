"""Pruning on a real API server: what goes, what stays, in which order, and that nothing is forgotten."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration import engine_runs
from tests.integration.engine_runs import WRITES
from tests.integration.planes import eventually
from tests.integration.processes import ended
from tests.integration.test_writing import kubectl
from tests.unit.engine.objects import config_map, custom, definition, deployment, namespace, service, webhook

from tideflow.clients.kubernetes import APPLY_PATCH
from tideflow.engine.applying import Application, Options
from tideflow.engine.manifests import load
from tideflow.engine.prune import told
from tideflow.engine.records import Records
from tideflow.errors import ApplyError, KubernetesError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.planes import Plane
    from tests.integration.processes import Processes

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.applying import Plan


@pytest.fixture
def space(cluster: Kubernetes, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return a name of the test's own for a namespace and a set; what is in them goes after the test."""
    name = f"p{abs(hash(request.node.name)) % 10**8}"
    yield name
    for path in (f"/api/v1/namespaces/{name}", f"/api/v1/namespaces/tideflow/configmaps/{name}-0"):
        try:
            cluster.delete(path)
        except KubernetesError as error:
            assert error.status in {404, 409}  # noqa: PT017 - cleaning up


def apply(cluster: Kubernetes, set_name: str, objects: list[dict[str, Any]], **options: Any) -> Plan:
    """Apply a set, and return what was planned."""
    return engine_runs.apply(cluster, objects, set_name=set_name, **options)


def pruning(cluster: Kubernetes, set_name: str, objects: list[dict[str, Any]], **options: Any) -> Application:
    """Return an application of the objects that prunes what carries no data."""
    return Application(
        cluster,
        set_name=set_name,
        manifests=load(objects),
        options=Options(**{"prune": "objects", "timeout": 60, **options}),
    )


def recorded(cluster: Kubernetes, set_name: str) -> list[str]:
    """Return what the record of a set has, in its order."""
    return [str(key) for key in Records(cluster, set_name).read()]


def is_there(cluster: Kubernetes, path: str) -> bool:
    """Tell whether there is an object at the path that is not on its way out."""
    try:
        return "deletionTimestamp" not in cluster.get(path)["metadata"]
    except KubernetesError as error:
        if error.status == 404:
            return False
        raise


def path_of(space: str, name: str, resource: str = "configmaps") -> str:
    """Return the path of an object of the core group."""
    return f"/api/v1/namespaces/{space}/{resource}/{name}"


def claim(name: str, space: str) -> dict[str, Any]:
    """Return a PersistentVolumeClaim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": space},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def test_what_the_set_no_longer_has_is_deleted_in_reverse_by_uid(
    plane: Plane, cluster: Kubernetes, space: str
) -> None:
    """The last released goes first, each delete says which object it means, and a rerun has nothing to do."""
    work = deployment("d", space, volumes=[{"name": "v", "configMap": {"name": "b"}}])
    objects = [namespace(space), work, config_map("b", space, x="1"), config_map("stays", space, x="1")]
    apply(cluster, space, objects, wait=False)
    assert recorded(cluster, space)[0] == f"Namespace {space}"
    mark = len(plane.audited())
    plan = apply(cluster, space, [objects[0], objects[3]], prune="objects")
    assert [str(key) for key in plan.pruned] == [f"Deployment {space}/d", f"ConfigMap {space}/b"]

    def deleted() -> list[str]:
        events = [event for event in plane.audited()[mark:] if event["verb"] == "delete"]
        return [event["objectRef"]["name"] for event in events if event["objectRef"]["resource"] != "leases"]

    eventually(deleted, lambda names: names == ["d", "b"])
    assert not is_there(cluster, path_of(space, "b"))
    assert is_there(cluster, path_of(space, "stays"))
    assert recorded(cluster, space) == [f"Namespace {space}", f"ConfigMap {space}/stays"]
    mark = len(plane.audited())
    assert not apply(cluster, space, [objects[0], objects[3]], prune="objects").writes
    assert not any(event["verb"] in WRITES for event in plane.audited()[mark:])


def test_without_pruning_all_stays_and_a_later_run_still_knows_it(cluster: Kubernetes, space: str) -> None:
    """The plan says what is left and how it would go, and writes nothing."""
    objects = [namespace(space), config_map("a", space, x="1"), config_map("b", space, x="1")]
    apply(cluster, space, objects)
    plan = apply(cluster, space, objects[:2])
    assert not plan.writes
    (line,) = told(plan, space)
    assert line == f'leave what {space} no longer has, ConfigMap {space}/b: it goes only with prune="objects"'
    apply(cluster, space, [objects[0], config_map("a", space, x="2")])
    assert f"ConfigMap {space}/b" in recorded(cluster, space)
    assert [key.name for key in apply(cluster, space, objects[:2], prune="objects").pruned] == ["b"]
    assert not is_there(cluster, path_of(space, "b"))


def test_users_data_goes_only_when_asked_for_by_name(cluster: Kubernetes, space: str) -> None:
    """Namespace, definition, claim and credential stay, are listed each time, and go with "everything"."""
    other = f"{space}-data"
    kind = f"Kept{space}"
    made = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": space},
        "stringData": {"k": "generated"},
    }
    once = {manifest.key for manifest in load([made])}
    objects = [
        namespace(space),
        namespace(other),
        definition(kind),
        custom(kind, "users", other),
        claim("c", space),
        made,
        config_map("plain", other, x="1"),
    ]
    apply(cluster, space, objects, create_once=once, wait=False)
    for prune, pruned in (("objects", {"users", "plain"}), ("objects", set()), ("off", set())):
        plan = apply(cluster, space, objects[:1], prune=prune)
        assert {key.name for key in plan.pruned} == pruned
        assert {key.kind: why.partition(" with it ")[2] for key, why in plan.left.items()} == {
            "Namespace": "all that is in it",
            "CustomResourceDefinition": "every object of the type it defines",
            "PersistentVolumeClaim": "the data on its volume",
            "Secret": "the credential in it",
        }
        assert all(why.startswith('it goes only with prune="everything"') for why in plan.left.values())
    assert is_there(cluster, f"/api/v1/namespaces/{other}")
    assert cluster.get(path_of(space, "s", "secrets"))["data"]
    users = custom(kind, "of-a-user", other)
    collection = f"/apis/example.org/v1/namespaces/{other}/{kind.lower()}s"
    cluster.post(collection, users)

    plan = apply(cluster, space, objects[:1], prune="everything")
    kinds = [key.kind for key in plan.pruned]
    assert kinds[0] == "CustomResourceDefinition"
    assert kinds[-1] == "Namespace"
    assert set(kinds[1:-1]) == {"PersistentVolumeClaim", "Secret"}
    with pytest.raises(KubernetesError, match="404"):
        cluster.get(f"/api/v1/namespaces/{other}")
    with pytest.raises(KubernetesError, match="404"):
        cluster.get(collection)
    assert recorded(cluster, space) == [f"Namespace {space}"]


def test_what_owns_a_claim_is_data_too(cluster: Kubernetes, space: str) -> None:
    """A StatefulSet that takes its claims with it, or anything else that does, is left."""
    objects = [namespace(space), config_map("owner", space, x="1")]
    apply(cluster, space, objects)
    uid = cluster.get(path_of(space, "owner"))["metadata"]["uid"]
    owned = claim("owned", space)
    owned["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    ]
    cluster.post(f"/api/v1/namespaces/{space}/persistentvolumeclaims", owned)
    plan = apply(cluster, space, objects[:1], prune="objects")
    assert list(plan.left.values()) == [
        'it goes only with prune="everything", and with it the volumes it owns'
    ]
    assert is_there(cluster, path_of(space, "owner"))


def test_what_the_set_still_needs_is_never_pruned(cluster: Kubernetes, space: str) -> None:
    """The Namespace its objects are in, and the definition of their type, stay whatever was asked for."""
    kind = f"Needed{space}"
    objects = [namespace(space), definition(kind), custom(kind, "a", space)]
    apply(cluster, space, objects)
    plan = apply(cluster, space, objects[2:], prune="everything")
    assert not plan.writes
    assert sorted(plan.left.values()) == ["the set has objects in it", "the set has objects of its type"]
    apply(cluster, space, objects[:1], prune="everything")


def test_an_object_that_a_user_made_anew_is_not_pruned(cluster: Kubernetes, space: str) -> None:
    """It has another UID; the plan says that it is forgotten, once."""
    objects = [namespace(space), config_map("b", space, x="1")]
    apply(cluster, space, objects)
    cluster.delete(path_of(space, "b"))
    cluster.post(f"/api/v1/namespaces/{space}/configmaps", objects[1])
    plan = apply(cluster, space, objects[:1], prune="everything")
    assert list(plan.forgotten.values()) == ["somebody deleted it and made it anew"]
    assert is_there(cluster, path_of(space, "b"))
    assert not apply(cluster, space, objects[:1], prune="everything").writes


def test_an_object_of_which_nothing_is_ours_any_more_is_not_pruned(cluster: Kubernetes, space: str) -> None:
    """Somebody else has taken over every field."""
    objects = [namespace(space), config_map("b", space, x="1")]
    apply(cluster, space, objects)
    cluster.patch(
        path_of(space, "b"),
        [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}],
        content_type="application/json-patch+json",
    )
    plan = apply(cluster, space, objects[:1], prune="everything")
    assert list(plan.forgotten.values()) == ["somebody else has taken it over"]
    assert is_there(cluster, path_of(space, "b"))


@pytest.mark.parametrize("data", [{"x": "1"}, {"x": "2"}])
def test_an_object_that_moved_to_another_set_is_left_to_it(
    cluster: Kubernetes, space: str, data: dict[str, str]
) -> None:
    """Neither set deletes it, the first gives up its fields, and what the other drops then goes."""
    first, second = f"{space}-one", f"{space}-two"
    objects = [namespace(space), config_map("b", space, x="1", dropped="1")]
    apply(cluster, first, objects)
    apply(cluster, second, [config_map("b", space, **data)])
    plan = apply(cluster, first, objects[:1], prune="everything")
    assert list(plan.forgotten.values()) == [f"it is of the set {second} now"]
    live = cluster.get(path_of(space, "b"))
    assert live["data"] == data
    assert {entry["manager"] for entry in live["metadata"]["managedFields"]} == {f"tideflow-{second}"}
    assert not apply(cluster, second, [config_map("b", space, **data)]).writes
    for set_name in (first, second):
        cluster.delete(path_of("tideflow", f"{set_name}-0"))


def test_what_was_left_to_kubectl_is_not_pruned(plane: Plane, cluster: Kubernetes, space: str) -> None:
    """Only what the set had added to it goes; with pruning off, not even that."""
    there = config_map("b", space, both="kubectl's")
    kubectl(plane, [namespace(space), there])
    ours = config_map("b", space, both="ours", more="1")
    options: dict[str, Any] = {"conflicts": "yield"}
    apply(cluster, space, [config_map("a", space, x="1"), ours], **options)
    plan = apply(cluster, space, [config_map("a", space, x="1")], prune="off", **options)
    (why,) = plan.left.values()
    assert why == 'what the set added to it goes only with prune="objects"; the rest is kubectl\'s'
    assert cluster.get(path_of(space, "b"))["data"] == {"both": "kubectl's", "more": "1"}
    plan = apply(cluster, space, [config_map("a", space, x="1")], prune="everything", **options)
    assert list(plan.forgotten.values()) == ["it was kubectl's before, and is left to it"]
    live = cluster.get(path_of(space, "b"))
    assert live["data"] == there["data"]
    assert {entry["manager"] for entry in live["metadata"]["managedFields"]} == {"kubectl-client-side-apply"}
    assert recorded(cluster, space) == [f"ConfigMap {space}/a"]


def test_giving_up_fields_of_an_object_that_is_gone_makes_none(cluster: Kubernetes, space: str) -> None:
    """The apply that gives up names the UID, so a race with a delete leaves nothing behind."""
    first, second = f"{space}-one", f"{space}-two"
    objects = [namespace(space), config_map("b", space, x="1")]
    apply(cluster, first, objects)
    apply(cluster, second, [config_map("b", space, x="2")])
    applying = pruning(cluster, first, objects[:1])
    plan = applying.plan()
    cluster.delete(path_of(space, "b"))
    applying.run(plan, progress=lambda _: None)
    assert not is_there(cluster, path_of(space, "b"))
    assert recorded(cluster, first) == [f"Namespace {space}"]
    for set_name in (first, second):
        cluster.delete(path_of("tideflow", f"{set_name}-0"))


def test_what_became_somebody_elses_after_the_plan_is_spared(cluster: Kubernetes, space: str) -> None:
    """Ownership is looked at again just before the delete, and the summary says so."""
    objects = [namespace(space), config_map("b", space, x="1")]
    apply(cluster, space, objects)
    applying = pruning(cluster, space, objects[:1])
    plan = applying.plan()
    assert [key.name for key in plan.pruned] == ["b"]
    cluster.delete(path_of(space, "b"))
    cluster.post(f"/api/v1/namespaces/{space}/configmaps", objects[1])
    summary = applying.run(plan, progress=lambda _: None)
    assert summary.pruned == 0
    assert summary.notes == (f"ConfigMap {space}/b stays: somebody deleted it and made it anew",)
    assert is_there(cluster, path_of(space, "b"))


def test_a_finalizer_that_blocks_is_waited_for_and_named(cluster: Kubernetes, space: str) -> None:
    """The rest of its rank goes, the record keeps it, and once the finalizer is gone a rerun finishes."""
    kind = f"Held{space}"
    objects = [
        namespace(space),
        definition(kind),
        custom(kind, "held", space),
        custom(kind, "free", space),
        config_map("later", space, x="1"),
    ]
    apply(cluster, space, objects)
    held = f"/apis/example.org/v1/namespaces/{space}/{kind.lower()}s/held"
    cluster.patch(held, {"metadata": {"finalizers": ["example.org/hold"]}})
    said: list[str] = []
    applying = pruning(cluster, space, objects[:2], timeout=3)
    plan = applying.plan()
    with pytest.raises(ApplyError, match=f"{kind} {space}/held is not gone after") as caught:
        applying.run(plan, progress=said.append)
    assert any(f"waiting until {kind} {space}/held is gone" in line for line in said)
    assert "its finalizer example.org/hold is there" in str(caught.value)
    assert f"kubectl patch {kind.lower()}.example.org held -n {space} --type=merge" in str(caught.value)
    assert f"after that: ConfigMap {space}/later are still to be deleted" in str(caught.value)
    kept = recorded(cluster, space)
    assert f"{kind} {space}/held" in kept
    assert f"{kind} {space}/free" not in kept
    assert is_there(cluster, path_of(space, "later"))

    applying = pruning(cluster, space, objects[:2])
    plan = applying.plan()
    waits = threading.Event()

    def release_it(text: str) -> None:
        said.append(text)
        if not waits.is_set():
            waits.set()
            cluster.patch(held, {"metadata": {"finalizers": None}})

    assert applying.run(plan, progress=release_it).pruned == 2
    assert waits.is_set()
    assert not is_there(cluster, path_of(space, "later"))
    assert apply(cluster, space, objects[:1], prune="everything").pruned


def test_a_webhook_that_nobody_serves_does_not_keep_its_objects(cluster: Kubernetes, space: str) -> None:
    """It refuses their deletes until its configuration has gone, and then they go."""
    kind = f"Guarded{space}"
    hook = webhook(space, "nobody", resources=[f"{kind.lower()}s"], groups=["example.org"], space=space)
    hook["webhooks"][0]["rules"][0]["operations"] = ["DELETE"]
    hook["webhooks"][0]["clientConfig"]["caBundle"] = ""
    objects = [namespace(space), definition(kind), custom(kind, "g", space), service("nobody", space), hook]
    apply(cluster, space, objects, wait=False)
    plan = apply(cluster, space, objects[:2], prune="objects")
    assert [key.kind for key in plan.pruned] == [kind, "MutatingWebhookConfiguration", "Service"]
    definition_name = f"CustomResourceDefinition {kind.lower()}s.example.org"
    assert set(recorded(cluster, space)) == {f"Namespace {space}", definition_name}
    apply(cluster, space, objects[:1], prune="everything")


def test_a_failed_release_prunes_nothing(cluster: Kubernetes, space: str) -> None:
    """What the old objects do may still be needed, so they go only after all of the set is ready."""
    objects = [namespace(space), config_map("old", space, x="1")]
    apply(cluster, space, objects)
    broken = claim("broken", space)
    broken["spec"]["accessModes"] = ["Nonsense"]
    with pytest.raises(ApplyError, match="1 objects are deleted only after that"):
        apply(cluster, space, [objects[0], broken], prune="objects")
    assert is_there(cluster, path_of(space, "old"))
    assert f"ConfigMap {space}/old" in recorded(cluster, space)


def test_killed_in_mid_prune_a_rerun_finishes(processes: Processes, cluster: Kubernetes, space: str) -> None:
    """The record has all of it until it is known to be gone."""
    objects = [namespace(space), *(config_map(f"c{number}", space, x="1") for number in range(6))]
    apply(cluster, space, objects)
    killed = """
lease.DURATION = 1
deleted, done = pruning.Pruning._deleted, []
def dying(self, key):
    if len(done) == 3:
        os.kill(os.getpid(), 9)
    done.append(key)
    return deleted(self, key)
pruning.Pruning._deleted = dying
"""
    process = processes.start(objects[:1], first=killed, set_name=space, prune="objects")
    code, printed = ended(process)
    assert code == -9, printed
    assert len(recorded(cluster, space)) == 7
    order = [name.rpartition("/")[2] for name in recorded(cluster, space)[1:]]
    assert [name for name in order if is_there(cluster, path_of(space, name))] == order[:3]
    plan = apply(cluster, space, objects[:1], prune="objects")
    assert len(plan.pruned) == 3
    assert len(plan.gone) == 3
    assert recorded(cluster, space) == [f"Namespace {space}"]
    assert not apply(cluster, space, objects[:1], prune="objects").writes


def test_what_a_killed_run_wrote_is_known_to_the_next(
    processes: Processes, cluster: Kubernetes, space: str
) -> None:
    """Killed after its writes and before their record, it is followed by an older set, which prunes them."""
    older = [namespace(space), config_map("a", space, x="1")]
    apply(cluster, space, older)
    killed = """
lease.DURATION = 1
run = release.Release.run
release.Release.run = lambda self: (run(self), os.kill(os.getpid(), 9))
"""
    newer = [*older, config_map("b", space, x="1")]
    code, printed = ended(processes.start(newer, first=killed, set_name=space))
    assert code == -9, printed
    assert is_there(cluster, path_of(space, "b"))
    assert [key.name for key in apply(cluster, space, older, prune="objects").pruned] == ["b"]
    assert not is_there(cluster, path_of(space, "b"))


def test_records_keep_the_order_of_release(cluster: Kubernetes, space: str) -> None:
    """Whatever a rerun writes again keeps its place, and what is added follows, after what it needs."""
    settings = config_map("m", space, x="1")
    work = deployment("d", space, volumes=[{"name": "v", "configMap": {"name": "m"}}])
    names = [f"Namespace {space}", f"ConfigMap {space}/m", f"Deployment {space}/d"]
    apply(cluster, space, [work, settings, namespace(space)], wait=False)
    assert recorded(cluster, space) == names
    apply(cluster, space, [namespace(space, changed="1"), settings, work], wait=False)
    assert recorded(cluster, space) == names
    added = config_map("n", space, x="1")
    work["spec"]["template"]["spec"]["volumes"].append({"name": "w", "configMap": {"name": "n"}})
    apply(cluster, space, [namespace(space), settings, work, added], wait=False)
    assert recorded(cluster, space) == [*names[:2], f"ConfigMap {space}/n", names[2]]


def test_after_a_partial_failure_the_order_is_still_that_of_needs(cluster: Kubernetes, space: str) -> None:
    """What a second run adds for what waited comes before it."""
    broken = claim("p", space)
    broken["spec"]["accessModes"] = ["Nonsense"]
    work = deployment("d", space, volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "p"}}])
    objects = [work, broken, config_map("c", space, x="1"), namespace(space)]
    with pytest.raises(ApplyError):
        apply(cluster, space, objects)
    objects[1] = claim("p", space)
    apply(cluster, space, objects, wait=False)
    order = recorded(cluster, space)
    assert order[0] == f"Namespace {space}"
    assert order.index(f"PersistentVolumeClaim {space}/p") < order.index(f"Deployment {space}/d")
    assert len(order) == 4


def test_another_group_of_the_same_object_is_the_same_object(cluster: Kubernetes, space: str) -> None:
    """What an older release applied under another API group is not deleted from under the set."""
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": space},
        "involvedObject": {"kind": "ConfigMap", "namespace": space, "name": "c"},
        "reason": "Tested",
        "type": "Normal",
        "reportingComponent": "example.org/test",
        "reportingInstance": "test",
        "action": "Test",
        "eventTime": "2026-01-01T00:00:00.000000Z",
    }
    apply(cluster, space, [namespace(space), event])
    newer = {**event, "apiVersion": "events.k8s.io/v1"}
    newer["regarding"] = newer.pop("involvedObject")
    newer["reportingController"] = newer.pop("reportingComponent")
    plan = apply(cluster, space, [namespace(space), newer], prune="everything")
    assert plan.pruned == ()
    assert list(plan.forgotten.values()) == ["the set has it in another API group now"]
    assert is_there(cluster, path_of(space, "e", "events"))


def test_what_users_apply_meanwhile_is_no_reason_to_keep(cluster: Kubernetes, space: str) -> None:
    """Another manager's fields on an object that is still ours do not make it theirs."""
    objects = [namespace(space), config_map("b", space, x="1")]
    apply(cluster, space, objects)
    theirs = config_map("b", space, y="1")
    cluster.request(
        "PATCH",
        path_of(space, "b"),
        body=theirs,
        content_type=APPLY_PATCH,
        query={"fieldManager": "tideflow-by-hand"},
    )
    assert [key.name for key in apply(cluster, space, objects[:1], prune="objects").pruned] == ["b"]


def test_a_type_that_went_since_discovery_was_read_takes_its_objects_along(
    cluster: Kubernetes, space: str
) -> None:
    """Its list is answered with 404: what the record has of it is gone."""
    kind = f"Brief{space}"
    objects = [namespace(space), definition(kind), custom(kind, "b", space)]
    apply(cluster, space, objects)
    assert cluster.resources(refresh=True).of_kind("example.org", kind)
    name = f"{kind.lower()}s.example.org"
    cluster.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
    collection = f"/apis/example.org/v1/{kind.lower()}s"

    def listed() -> bool:
        try:
            cluster.get(collection)
        except KubernetesError as error:
            return error.status != 404
        return True

    eventually(listed, lambda found: not found)
    plan = apply(cluster, space, objects[:1], prune="everything")
    assert {key.kind for key in plan.gone} == {kind, "CustomResourceDefinition"}
