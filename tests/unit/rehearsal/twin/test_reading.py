"""Whatever a request says, the twin accepts or refuses it, and goes on."""

from __future__ import annotations

import copy
import json
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.rehearsal.twin.calling import CLUSTERS, client, create, lift_limits

from tideflow.rehearsal.twin.resources import Volume
from tideflow.rehearsal.twin.state import State

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

CLUSTER: dict[str, Any] = {
    "name": "new",
    "tags": ["one"],
    "ha": True,
    "auto_upgrade": True,
    "surge_upgrade": True,
    "maintenance_policy": {"start_time": "12:00", "day": "any"},
}
POOL: dict[str, Any] = {
    "name": "second",
    "count": 1,
    "tags": ["one"],
    "labels": {"a": "b"},
    "taints": [{"key": "a", "value": "b", "effect": "NoExecute"}],
    "auto_scale": True,
    "min_nodes": 1,
    "max_nodes": 2,
}
SIZE = {"size": "s-2vcpu-4gb"}
NEW = {
    "region": "nyc3",
    "version": "1.34",
    "vpc_uuid": "c33931f2-a26a-4e61-b85c-4e95a2ec431b",
    "node_pools": [POOL | SIZE],
}
CASES = [
    ("POST", CLUSTERS, CLUSTER | NEW),
    ("PUT", f"{CLUSTERS}/{{cluster}}", CLUSTER),
    ("POST", f"{CLUSTERS}/{{cluster}}/node_pools", POOL | SIZE),
    ("PUT", f"{CLUSTERS}/{{cluster}}/node_pools/{{pool}}", POOL),
    ("POST", f"{CLUSTERS}/{{cluster}}/node_pools/{{pool}}/recycle", {"nodes": []}),
    (
        "DELETE",
        f"{CLUSTERS}/{{cluster}}/destroy_with_associated_resources/selective",
        {"load_balancers": [], "volumes": ["{volume}"], "volume_snapshots": []},
    ),
    ("POST", "/v2/volumes/{volume}/snapshots", {"name": "before", "tags": ["one"]}),
    ("POST", "/v2/1-clicks/kubernetes", {"addon_slugs": ["ingress-nginx"], "cluster_uuid": "{cluster}"}),
    ("POST", "/rehearsal/clusters/{cluster}/tokenreview", {"spec": {"token": "x"}}),
]

JSON: SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=70)
    | st.sampled_from(["1.34", "nyc3", "ml", "", "b", 0, -1, 513, 2**70]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def changed(draw: DrawFn, value: Any) -> Any:
    """Draw what a value is with something at a random depth of it put in, left out or replaced."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 3)) == 0:
        return draw(JSON)
    if isinstance(value, list):
        return [*value[1:], draw(changed(value[0]))]
    name = draw(st.sampled_from(sorted(value)))
    rest = {other: found for other, found in value.items() if other != name}
    return rest if draw(st.integers(0, 4)) == 0 else rest | {name: draw(changed(value[name]))}


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> tuple[State, Any, dict[str, str]]:
    """Return a twin's state, a client, and the ids of a cluster, a pool and a volume, for all examples."""
    folder = tmp_path_factory.mktemp("twin")
    state = State(folder / "state.json")
    api = client(state, folder)
    lift_limits(api)
    cluster = create(api).json["kubernetes_cluster"]
    volume = Volume(str(uuid.uuid4()), "pvc-1", cluster["id"], "nyc3", created_at=0.0, size=1)
    state.volumes[volume.id] = volume
    return state, api, {"cluster": cluster["id"], "pool": cluster["node_pools"][0]["id"], "volume": volume.id}


@pytest.mark.parametrize(("method", "path", "valid"), CASES, ids=[f"{case[0]} {case[1]}" for case in CASES])
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_no_body_is_too_much(
    twin: tuple[State, Any, dict[str, str]], method: str, path: str, valid: Any, data: st.DataObject
) -> None:
    """It is refused and changes nothing, or it is allowed by the description (the client checks) and kept."""
    state, api, ids = twin
    valid = json.loads(re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], json.dumps(valid)))
    body = data.draw(changed(valid) | JSON | st.just(valid))
    before = copy.deepcopy(state.clusters)
    try:
        answer = api.open(
            path.format(**ids), method=method, data=json.dumps(body), content_type="application/json"
        )
        if answer.status_code < 300:
            assert answer.status_code in {200, 201, 202, 204}
            assert State(state._file).clusters == state.clusters
        else:
            assert answer.status_code in {404, 422}
            # As JSON: to Python, true is 1.
            assert json.dumps(body, sort_keys=True) != json.dumps(valid, sort_keys=True)
            assert state.clusters == before
        assert api.get(CLUSTERS).status_code == 200
    finally:
        state.clusters = before
        state.save()


@pytest.mark.parametrize(("method", "path"), [case[:2] for case in CASES])
@pytest.mark.parametrize(
    "body", ["", "{", "[" * 100_000, '{"a":' * 100_000, "9" * 10_000, b"\xff\xfe", b"\x00"]
)
def test_what_is_no_json_is_a_bad_request(
    twin: tuple[State, Any, dict[str, str]], method: str, path: str, body: Any
) -> None:
    """400, however it is not."""
    _, api, ids = twin
    answer = api.open(path.format(**ids), method=method, data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json["id"] == "bad_request"


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=30) | st.integers().map(str))
def test_no_query_is_too_much(twin: tuple[State, Any, dict[str, str]], text: str) -> None:
    """It is refused, or taken for what the description says it is."""
    _, api, _ = twin
    for name in ("page", "per_page"):
        assert api.get(CLUSTERS, query_string={name: text}).status_code in {200, 422}
    assert api.get("/v2/1-clicks", query_string={"type": text}).status_code in {200, 422}
