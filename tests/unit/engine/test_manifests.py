"""Loading: what is read, and what is refused by file and object."""

from __future__ import annotations

import base64
import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tideflow.engine.manifests import load
from tideflow.engine.ownership import digest
from tideflow.errors import ManifestError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: a}\ndata: {when: 2026-01-01}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [", r"broken\.yaml, line 2: this is not YAML"),
        (f"{GOOD}---\na: [", r"broken\.yaml, line 7: this is not YAML"),
        ("a: b: c", r"broken\.yaml, line 1: this is not YAML"),
        ("just text", r"broken\.yaml holds a text, not a Kubernetes object"),
        ("caf\udce9", r"broken\.yaml cannot be read: [^\n]+$"),
        ("apiVersion: v1\nmetadata: {name: b}", r"broken\.yaml holds an object without kind"),
        ("kind: ConfigMap\nmetadata: {name: b}", r"broken\.yaml holds an object without apiVersion"),
        ("apiVersion: v1\nkind: ConfigMap", r"broken\.yaml holds a ConfigMap without metadata\.name"),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 5}",
            r"broken\.yaml holds a ConfigMap whose metadata\.name is a number; put it in quotes",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}",
            r"without metadata\.name; with generateName, each run would make another object",
        ),
        (f"{GOOD}---\n{GOOD}", r"ConfigMap a/b is there twice: in .*broken\.yaml and in .*\(document 2\)"),
        ("", "x"),
    ],
)
def test_what_is_no_object_is_an_error_that_names_file_and_object(
    tmp_path: Path, text: str, expected: str
) -> None:
    """One line says where and what; an empty file is none of it."""
    (tmp_path / "broken.yaml").write_text(text, errors="surrogateescape")
    if not text:
        assert load(tmp_path) == []
        return
    with pytest.raises(ManifestError, match=expected):
        load(tmp_path)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    """To apply nothing is never what was meant."""
    with pytest.raises(ManifestError, match="there are no manifests in"):
        load(tmp_path)


def test_yaml_is_read_as_kubectl_reads_it(tmp_path: Path) -> None:
    """Dates stay text, lists are taken apart, what only the server sets is dropped."""
    (tmp_path / "one.yaml").write_text(
        "apiVersion: v1\nkind: List\nitems:\n- "
        + GOOD.replace("\n", "\n  ").rstrip()
        + "\n- apiVersion: v1\n  kind: Namespace\n"
        + "  metadata: {name: a, uid: x, creationTimestamp: null}\n  status: {}\n"
    )
    config, namespace = load(tmp_path)
    assert config.body["data"] == {"when": "2026-01-01"}
    assert namespace.body == {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}


def test_objects_given_are_read_as_json() -> None:
    """Keys become texts, as in a file; what JSON has no place for is refused."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {80: "a", "b": "c"}}
    assert load([body])[0].body["data"] == {"80": "a", "b": "c"}
    for value in (datetime.now(tz=UTC), {1}, math.nan, b"x"):
        with pytest.raises(ManifestError, match=r"^object 1 is no JSON: "):
            load([{**body, "data": {"a": value}}])


def test_half_a_character_is_no_defect(tmp_path: Path) -> None:
    """JSON may hold it, and the server says what it thinks of that."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "\ud83d"}}
    (tmp_path / "x.json").write_text(json.dumps(body))
    assert digest(load(tmp_path)[0].body)
    (tmp_path / "x.json").write_text(json.dumps({**body, "kind": "Secret", "stringData": body["data"]}))
    with pytest.raises(ManifestError, match="stringData is not all text"):
        load(tmp_path)


def test_a_secrets_texts_become_data() -> None:
    """With stringData the proof would not see what others change."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}}
    [loaded] = load([secret])
    assert loaded.body["data"] == {"k": base64.b64encode(b"v").decode()}
    assert "stringData" not in loaded.body
    with pytest.raises(ManifestError, match="stringData is not all text"):
        load([{**secret, "stringData": {"k": 1}}])


def test_a_secrets_data_that_is_not_base64_is_named() -> None:
    """The server's words on it quote the value, so that nobody would learn which it is."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    good = {"a": "", "b": "dmFs\ndWU=", "c": None}
    assert load([{**secret, "data": good}])[0].body["data"] == good
    for value in ("canary", "dmFsdWU", "dmFsdWU=x", "\ud83d"):
        with pytest.raises(
            ManifestError, match=r"^object 1 holds a Secret whose data\.k is not base64; "
        ) as it:
            load([{**secret, "data": {**good, "k": value}}])
        assert "canary" not in str(it.value)
