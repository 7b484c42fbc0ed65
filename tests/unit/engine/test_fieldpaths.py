"""Finding a field by the path that a conflict names it with."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideflow.engine import fieldpaths

BODY: dict[str, Any] = {
    "data": {"app.conf": "1", "app": {"conf": "2"}, "a[b]": "3"},
    "spec": {
        "replicas": 2,
        "ports": [
            {"port": 80, "protocol": "TCP", "name": "http"},
            {"port": 80, "protocol": "UDP", "name": "quic"},
        ],
        "containers": [{"name": "we]ird", "image": "x"}, {"name": "main", "image": "y"}],
        "finalizers": ["a", "b"],
        "items": [1, 2, 3],
    },
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".spec.replicas", 2),
        (".data.app.conf", "1"),
        (".data.a[b]", "3"),
        ('.spec.ports[port=80,protocol="UDP"].name', "quic"),
        ('.spec.containers[name="we]ird"].image', "x"),
        ('.spec.containers[name="main"]', {"name": "main", "image": "y"}),
        ('.spec.finalizers[="b"]', "b"),
        (".spec.items[2]", 3),
        (".spec.missing", None),
        ('.spec.containers[name="other"].image', None),
        (".spec.items[7]", None),
        (".spec.ports[port", None),
        (".spec.replicas.deeper", None),
    ],
)
def test_a_path_leads_to_its_value(path: str, expected: object) -> None:
    """Names with dots and brackets, keyed items, items of sets, indexes; nothing for what is not there."""
    assert fieldpaths.value(BODY, path) == expected


@pytest.mark.parametrize(
    ("path", "left"),
    [
        (".spec.replicas", ".spec.ports"),
        (".data.app.conf", ".spec.replicas"),
        ('.spec.containers[name="main"].image', '.spec.containers[name="main"].name'),
        ('.spec.finalizers[="a"]', '.spec.finalizers[="b"]'),
        ('.spec.containers[name="main"]', '.spec.containers[name="we]ird"]'),
    ],
)
def test_what_is_at_a_path_can_be_left_out(path: str, left: str) -> None:
    """Of a copy, with everything beside it."""
    before = copy.deepcopy(BODY)
    smaller = fieldpaths.without(BODY, path)
    assert before == BODY
    assert fieldpaths.value(smaller, left) == fieldpaths.value(BODY, left)
    assert len(json.dumps(smaller)) < len(json.dumps(BODY))
    if not path.endswith(("]", "conf")):
        assert fieldpaths.value(smaller, path) is None


@pytest.mark.parametrize("path", [".spec.missing", ".spec.items[9]", "[", ".spec.ports[x=}]"])
def test_leaving_out_what_is_not_there_changes_nothing(path: str) -> None:
    """Nor does what is no path."""
    assert fieldpaths.without(BODY, path) == BODY


NAMES = st.text("abc.-/[", min_size=1, max_size=6)
TREES = st.recursive(
    st.integers(), lambda inside: st.dictionaries(NAMES, inside, min_size=1, max_size=4), max_leaves=12
)


def leaves(tree: object, path: str = "") -> dict[str, object]:
    """Return the values of a tree of mappings by their paths, ambiguous ones left out."""
    if not isinstance(tree, dict):
        return {path: tree} if path else {}
    found: dict[str, object] = {}
    for name, inside in tree.items():
        ambiguous = any(other != name and other.startswith((f"{name}.", f"{name}[")) for other in tree)
        if not ambiguous:
            found |= leaves(inside, f"{path}.{name}")
    return found


@given(TREES)
def test_every_path_of_a_tree_is_found_and_can_be_left_out(tree: object) -> None:
    """Whatever the names are made of, unless one begins as another goes on."""
    for path, expected in leaves(tree).items():
        assert fieldpaths.value(tree, path) == expected
        assert leaves(tree).keys() - leaves(fieldpaths.without(tree, path)).keys() == {path}
