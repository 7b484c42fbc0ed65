"""Every object's needs, and that they can always be met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.objects import (
    config_map,
    custom,
    definition,
    deployment,
    key,
    manifests,
    namespace,
    service,
    webhook,
)

from tideflow.engine.graph import Ready, StatedGate, World, Written, needs
from tideflow.engine.manifests import Key
from tideflow.engine.webhooks import Webhook
from tideflow.errors import GraphError

if TYPE_CHECKING:
    from tideflow.engine.graph import Need

EMPTY = World(namespaces={}, configurations=(), plurals={("apps", "Deployment"): ("deployments", True)})


def found(*objects: dict[str, Any], world: World = EMPTY) -> dict[Key, frozenset[Need]]:
    """Return the graph of some objects."""
    return needs(manifests(*objects), world)


def webhooks_of(graph: dict[Key, frozenset[Need]], body: dict[str, Any]) -> set[str]:
    """Return the configurations whose webhooks an object waits for."""
    return {need.owner.name for need in graph[key(body)] if isinstance(need, Webhook)}


def test_an_object_needs_its_namespace() -> None:
    """Written is enough: a namespace takes objects at once."""
    graph = found(config_map("b"), namespace("a"))
    assert graph[key(config_map("b"))] == {Written(key(namespace("a")))}


def test_a_namespace_that_nobody_makes_is_an_error_that_names_the_object() -> None:
    """It is found before anything is written."""
    with pytest.raises(GraphError, match="ConfigMap a/b is in the namespace a, which is not there"):
        found(config_map("b"))


def test_a_namespace_may_be_live_or_foreseen() -> None:
    """What is in the cluster counts, and where that is not known nothing is refused."""
    assert found(config_map("b"), world=World({"a": {}}, (), {})) == {key(config_map("b")): frozenset()}
    assert found(config_map("b"), world=World(None, (), {})) == {key(config_map("b")): frozenset()}


def test_a_custom_resource_waits_until_its_definition_is_ready() -> None:
    """To be written is not enough: the API server serves the type a moment later."""
    graph = found(namespace("a"), custom("Thing", "t"), definition("Thing"))
    assert Ready(key(definition("Thing"))) in graph[key(custom("Thing", "t"))]


def test_a_workload_needs_what_its_pods_name_and_no_more() -> None:
    """References to objects of the set are orderings; others are somebody else's."""
    volumes = [
        {"name": "v", "configMap": {"name": "settings"}},
        {"name": "w", "secret": {"secretName": "no"}},
    ]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "me", "namespace": "a"}}
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "mine"},
        "roleRef": {"kind": "ClusterRole", "name": "elsewhere"},
        "subjects": [{"kind": "ServiceAccount", "name": "me", "namespace": "a"}],
    }
    work = deployment("d", volumes=volumes, serviceAccountName="me")
    graph = found(namespace("a"), work, config_map("settings"), config_map("other"), account, role)
    assert graph[key(work)] == {
        Written(key(body)) for body in (namespace("a"), config_map("settings"), account, role)
    }


INJECTOR = webhook("injector", "inject", resources=["pods"], groups=[""])


def test_workloads_wait_for_a_webhook_on_their_pods_but_not_the_one_that_serves_it() -> None:
    """The injector's own Deployment, and all that it needs, would wait for itself."""
    graph = found(namespace("a"), INJECTOR, service("inject"), deployment("inject"), deployment("other"))
    assert webhooks_of(graph, deployment("other")) == {"injector"}
    assert webhooks_of(graph, deployment("inject")) == set()
    assert webhooks_of(graph, service("inject")) == set()


def test_selectors_decide_whom_a_webhook_is_called_for() -> None:
    """Namespaces by their labels, the one of their name among them; pods by the template's."""
    hook = webhook("injector", "inject", resources=["pods"], groups=[""])
    hook["webhooks"][0]["namespaceSelector"] = {"matchLabels": {"inject": "yes"}}
    hook["webhooks"][0]["objectSelector"] = {
        "matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["exempt"]}]
    }
    inside, outside = namespace("a", inject="yes"), namespace("b")
    graph = found(
        inside,
        outside,
        hook,
        service("inject", "b"),
        deployment("x"),
        deployment("exempt"),
        deployment("y", "b"),
    )
    assert webhooks_of(graph, deployment("x")) == {"injector"}
    assert webhooks_of(graph, deployment("exempt")) == set()
    assert webhooks_of(graph, deployment("y", "b")) == set()


def test_an_object_of_an_aggregated_api_waits_for_its_server() -> None:
    """Until the APIService is available, nobody answers for the group."""
    served = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1.example.org"},
        "spec": {"group": "example.org", "version": "v1", "service": {"name": "s", "namespace": "a"}},
    }
    graph = found(namespace("a"), served, custom("Thing", "t"))
    assert Ready(key(served)) in graph[key(custom("Thing", "t"))]


def test_only_versions_that_are_converted_wait_for_the_converter() -> None:
    """What is stored as it is written, no webhook is called for."""
    converted = definition("Thing")
    stored = converted["spec"]["versions"][0]
    converted["spec"]["versions"] = [stored, {**stored, "name": "v2", "storage": False}]
    client = {"service": {"name": "convert", "namespace": "a"}}
    converted["spec"]["conversion"] = {"strategy": "Webhook", "webhook": {"clientConfig": client}}
    old, new = custom("Thing", "old"), {**custom("Thing", "new"), "apiVersion": "example.org/v2"}
    graph = found(namespace("a"), converted, old, new, service("convert"), deployment("convert"))
    assert webhooks_of(graph, old) == set()
    assert webhooks_of(graph, new) == {"things.example.org"}


def test_a_webhook_that_may_fail_is_not_waited_for() -> None:
    """With failurePolicy Ignore nothing is refused."""
    hook = webhook("injector", "inject", resources=["pods"], groups=[""])
    hook["webhooks"][0]["failurePolicy"] = "Ignore"
    assert webhooks_of(found(namespace("a"), hook, deployment("x")), deployment("x")) == set()


def test_null_is_the_default() -> None:
    """For the API server, null is as good as nothing: such a webhook refuses, in any scope."""
    hook = webhook("injector", "inject", resources=["pods"], groups=[""])
    hook["webhooks"][0] |= {"failurePolicy": None}
    hook["webhooks"][0]["rules"][0]["scope"] = None
    assert webhooks_of(found(namespace("a"), hook, deployment("x")), deployment("x")) == {"injector"}


def test_a_webhook_that_is_live_counts_as_well() -> None:
    """Somebody else's webhook refuses our objects just the same."""
    hook = {
        **webhook("theirs", "far", resources=["things"], groups=["example.org"]),
        "kind": INJECTOR["kind"],
    }
    thing = custom("Thing", "t")
    world = World({"a": {}}, (hook,), {})
    assert webhooks_of(found(definition("Thing"), thing, world=world), thing) == {"theirs"}


def test_a_stated_gate_holds_what_the_injector_changes() -> None:
    """What structure cannot show is stated: pods with a sidecar wait for the CNI's DaemonSet."""
    cni = {**deployment("cni", "b"), "kind": "DaemonSet"}
    gate = StatedGate("injector", key(cni), "no network without it")
    objects = (
        namespace("a"),
        namespace("b"),
        INJECTOR,
        service("inject"),
        deployment("inject"),
        deployment("x"),
        cni,
    )
    graph = needs(manifests(*objects), EMPTY, [gate])
    assert Ready(key(cni)) in graph[key(deployment("x"))]
    assert Ready(key(cni)) not in graph[key(deployment("inject"))]


def test_what_most_others_wait_for_comes_first() -> None:
    """Pods take their time, so what waits for them should not have waited for anything else before."""
    serving = [INJECTOR, service("inject"), deployment("inject"), namespace("a")]
    others = [config_map("x"), custom("Rare", "r"), deployment("one"), deployment("two")]
    order = list(found(*others, definition("Rare"), *serving))
    assert set(order[:4]) == set(map(key, serving))
    assert order[4:] == [key(definition("Rare")), *map(key, others)]


def test_a_circle_is_an_error_that_names_its_objects() -> None:
    """Two webhooks, each of which is called for the other's pods, can never begin."""
    one = webhook("one", "first", resources=["pods"], groups=[""])
    two = webhook("two", "second", resources=["pods"], groups=[""])
    objects = (
        namespace("a"),
        one,
        two,
        service("first"),
        service("second"),
        deployment("first"),
        deployment("second"),
    )
    with pytest.raises(GraphError, match=r"wait for each other: .*Deployment a/first"):
        found(*objects)


@st.composite
def sets(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return an acyclic set: workloads name ConfigMaps, resources have definitions, webhooks a backend."""
    spaces = draw(st.lists(st.sampled_from("abcd"), min_size=1, unique=True))
    objects: list[dict[str, Any]] = [namespace(space) for space in spaces]
    for number in range(draw(st.integers(0, 8))):
        space = draw(st.sampled_from(spaces))
        match draw(st.sampled_from(["map", "work", "custom"])):
            case "map":
                objects.append(config_map(f"m{number}", space))
            case "work":
                volumes = [{"name": "v", "configMap": {"name": f"m{draw(st.integers(0, 8))}"}}]
                objects.append(deployment(f"d{number}", space, volumes=volumes))
            case _:
                objects += [definition(f"Kind{number}"), custom(f"Kind{number}", f"c{number}", space)]
    if draw(st.booleans()):
        space = draw(st.sampled_from(spaces))
        objects += [
            webhook("hook", "hook", resources=["*"], groups=["example.org", "apps"], space=space),
            service("hook", space),
            deployment("hook", space),
        ]
    return draw(st.permutations(objects))


@given(sets())
def test_any_acyclic_set_is_released_completely_and_nothing_before_its_needs(
    objects: list[dict[str, Any]],
) -> None:
    """Releasing whatever has its needs met, again and again, ends with nothing left."""
    graph = found(*objects)
    written: set[Key] = set()
    while True:
        released = {
            own
            for own, wanted in graph.items()
            if own not in written and all(met(need, written) for need in wanted)
        }
        if not released:
            break
        written |= released
    assert written == graph.keys()


def met(need: Need, written: set[Key]) -> bool:
    """Tell whether a need is met when everything written is ready at once."""
    if isinstance(need, Webhook):
        backend = Key("apps", "Deployment", need.service.namespace, need.service.name)
        return {need.owner, need.service.key, backend} <= written
    return need.key in written
