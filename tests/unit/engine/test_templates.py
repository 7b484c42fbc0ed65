"""Templates: what a value becomes, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideflow.engine.templates import render
from tideflow.errors import ManifestError

OBJECT = "kind: ConfigMap\ndata: {{x: {}}}\n"


def template(folder: Path, text: str) -> Path:
    """Write a template."""
    path = folder / "t.yaml.j2"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def quoting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a template that quotes its value."""
    return template(tmp_path_factory.mktemp("templates"), OBJECT.format("{{ value | tojson }}"))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_quoted_value_comes_out_as_it_went_in(quoting: Path, value: str) -> None:
    """Whatever is in it: quotes, colons, braces, line ends, what YAML would take for a number."""
    assert render(quoting, {"value": value}) == [{"kind": "ConfigMap", "data": {"x": value}}]


def test_documents_are_objects_and_empty_ones_are_none(tmp_path: Path) -> None:
    """Dates stay text, as in manifests."""
    path = template(tmp_path, "---\n# only a comment\n---\nkind: A\nwhen: 2026-01-01\n---\nkind: B\n")
    assert render(path, {}) == [{"kind": "A", "when": "2026-01-01"}, {"kind": "B"}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OBJECT.format("{{ value }}"), "cannot be rendered: 'value' is undefined"),
        (OBJECT.format("{{ value | tojson }}"), "cannot be rendered: 'value' is undefined"),
        (OBJECT.format("{{ given.more }}"), "cannot be rendered: 'str object' has no attribute 'more'"),
        (OBJECT.format("{{ given + 1 }}"), "cannot be rendered: can only concatenate str"),
        (OBJECT.format("{{ path | tojson }}"), "cannot be rendered: .*Path is not JSON"),
        (OBJECT.format("{{ given"), r"cannot be rendered: line 2: unexpected '}'"),
        ("{% include 'other.j2' %}", "cannot be rendered: there is no template other.j2"),
        ("kind: A\nx: [\n", r", as rendered, line 3: this is not YAML: "),
        ("- kind: A\n", "holds a list, not a Kubernetes object"),
        ("kind\n", "holds a text, not a Kubernetes object"),
    ],
)
def test_what_cannot_be_rendered_is_said_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    """It names the template."""
    path = template(tmp_path, text)
    with pytest.raises(ManifestError, match=expected) as raised:
        render(path, {"given": "text", "path": Path("x")})
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_a_template_that_is_not_there_is_said(tmp_path: Path) -> None:
    """By its whole path."""
    with pytest.raises(ManifestError, match=f"there is no template {tmp_path}/none"):
        render(tmp_path / "none.yaml.j2", {})
