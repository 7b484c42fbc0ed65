"""Documents out of files: taken apart as YAML says, and parsed once."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tideflow.engine import parsing
from tideflow.engine.manifests import load
from tideflow.errors import ManifestError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: a}\ndata: {when: 2026-01-01}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: canary-secret}\n"


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return a list of all that is parsed from now on."""
    texts: list[bytes] = []
    parse = parsing.parse

    def noted(text: bytes, origin: str, *, after: int = 0) -> Any:
        texts.append(text)
        return parse(text, origin, after=after)

    monkeypatch.setattr(parsing, "parse", noted)
    return texts


def test_what_was_parsed_is_kept_but_no_secret(tmp_path: Path) -> None:
    """The second time nothing is parsed; Secrets never reach the cache, and damage costs a parse."""
    source, cache = tmp_path / "source", tmp_path / "cache"
    source.mkdir()
    (source / "one.yaml").write_text(GOOD)
    (source / "two.yaml").write_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: canary-secret}\n"
    )
    first = load(source, cache=cache)
    [kept] = cache.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "canary" not in kept.read_text()
    assert base64.b64encode(b"canary-secret").decode() not in kept.read_text()
    assert load(source, cache=cache) == first
    for damage in (b"", b"[]", b"{", b"\xff"):
        kept.write_bytes(damage)
        assert load(source, cache=cache) == first
    (source / "one.yaml").write_text(GOOD.replace("2026", "2027"))
    assert load(source, cache=cache)[0].body["data"] == {"when": "2027-01-01"}


def test_only_what_changed_is_parsed_again_and_secrets_always(tmp_path: Path, parsed: list[bytes]) -> None:
    """Also where all objects are in one file, as kustomize renders them."""
    file, cache = tmp_path / "all.yaml", tmp_path / "cache"
    other = GOOD.replace("name: b", "name: c")
    file.write_text(f"{GOOD}---\n{SECRET}---\n{other}")
    first = load(file, cache=cache)
    assert [manifest.key.name for manifest in first] == ["b", "s", "c"]
    parsed.clear()
    assert load(file, cache=cache) == first
    assert parsed == [f"---\n{SECRET}".encode()]
    file.write_text(f"{GOOD}---\n{SECRET}---\n{other.replace('2026', '2027')}")
    parsed.clear()
    assert load(file, cache=cache)[2].body["data"] == {"when": "2027-01-01"}
    assert len(parsed) == 2


def test_what_was_read_by_older_rules_is_read_again(
    tmp_path: Path, parsed: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release that reads texts in another way must not find what the one before made of them."""
    source, cache = tmp_path / "one.yaml", tmp_path / "cache"
    source.write_text(GOOD)
    with monkeypatch.context() as older:
        older.setattr(parsing, "_CACHE_FORMAT", 2)
        load(source, cache=cache)
    parsed.clear()
    load(source, cache=cache)
    assert parsed == [GOOD.encode()]


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_json_has_no_such_numbers(tmp_path: Path, constant: str) -> None:
    """Though Python's reader would take them."""
    (tmp_path / "x.json").write_text(f'{{"a": {constant}}}')
    with pytest.raises(ManifestError, match=rf"x\.json cannot be read: {constant} is no value"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["%YAML 1.1\n---\na: 1\n---\na: 2\n", "a: 1\n...\n---\na: 2\n"])
def test_directives_keep_a_file_together(tmp_path: Path, text: str, parsed: list[bytes]) -> None:
    """They are about what follows; few files have any."""
    (tmp_path / "x.yaml").write_text(text)
    assert [found for _, found in parsing.documents(tmp_path, None)] == [{"a": 1}, {"a": 2}]
    assert parsed == [text.encode()]


@given(st.lists(st.dictionaries(st.text(), st.text() | st.none()) | st.none()), st.booleans())
def test_files_are_taken_apart_as_yaml_does(
    tmp_path_factory: pytest.TempPathFactory,
    wanted: list[dict[str, str | None] | None],
    start: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    """Whatever texts are in them, lines of dashes above all."""
    file = tmp_path_factory.mktemp("taken") / "x.yaml"
    shown = [
        {"---": "---", "lines": "a\n---\nb\n--- c\n", **(found or {})} if found else found for found in wanted
    ]
    file.write_text(yaml.safe_dump_all(shown, explicit_start=start, default_style="|" if start else None))
    assert [found for _, found in parsing.documents(file, None)] == [
        found for found in parsing.parse(file.read_text(), "x.yaml") if found is not None
    ]
