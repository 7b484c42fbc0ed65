"""Vendoring from end to end, with a release of two objects and real kustomize."""

import errno
import os
from pathlib import Path

import pytest

from tideflow.errors import VendoringError
from tideflow.vendoring import tree
from tideflow.vendoring.vendor import vendor

PINS = f"""
default = "1"
[releases."1"]
repository = "https://example.org/it"
commit = "{"a" * 40}"
render = "example"
kubernetes = ["1.34"]
"""
PATCH = """
[[patches]]
kind = "ConfigMap"
name = "gone"
path = "/data"
was = 1
becomes = 2
reason = "test"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a project with pins, and sources beside it."""
    (tmp_path / "vendored").mkdir()
    (tmp_path / "vendored/kubeflow.toml").write_text(PINS)
    (tmp_path / "source/1/manifests/example").mkdir(parents=True)
    sources(tmp_path, "kustomization.yaml", "resources: [all.yaml]\n")
    objects(tmp_path, "one", "two")
    return tmp_path


def sources(project: Path, name: str, text: str) -> None:
    """Change a file of the sources."""
    (project / "source/1/manifests/example" / name).write_text(text)


def objects(project: Path, *names: str) -> None:
    """Let the sources have these ConfigMaps."""
    documents = [f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n" for name in names]
    sources(project, "all.yaml", "---\n".join(documents))


def run(project: Path) -> list[str]:
    """Vendor, and return the lines of progress and the summary."""
    lines: list[str] = []
    summary = vendor(project / "vendored", progress=lines.append, source=project / "source")
    return [*lines, summary]


def paths(project: Path) -> list[str]:
    """Return the names of the vendored files."""
    return sorted(path.name for path in (project / "vendored/kubeflow").rglob("*.yaml"))


def test_it_tells_what_it_does_and_what_came_out(project: Path) -> None:
    """Each step is a line, and the last one counts."""
    target = project / "vendored/kubeflow"
    assert run(project) == [
        f"copying {project}/source/1/manifests",
        "rendering Kubeflow 1",
        f"vendored Kubeflow 1: 2 objects, in {target} (created 2, changed 0, removed 0)",
    ]
    objects(project, "two", "three")
    assert run(project)[-1].endswith("(created 1, changed 0, removed 1)")
    assert paths(project) == ["default--three.yaml", "default--two.yaml"]


def test_edits_are_not_lost_in_silence(project: Path) -> None:
    """Whoever edited a vendored file is told that the edit goes."""
    run(project)
    edited = project / "vendored/kubeflow/core_v1--ConfigMap/default--one.yaml"
    edited.write_text(edited.read_text() + "data: {a: b}\n")
    lines = run(project)
    assert lines[0].endswith("was edited since it was vendored; the edits are going to be replaced")
    assert lines[-1].endswith("(created 0, changed 1, removed 0)")


def test_a_tree_that_is_not_whole_is_replaced(project: Path) -> None:
    """Vendoring again is what mends it."""
    run(project)
    (project / "vendored/kubeflow/.release.toml").unlink()
    assert run(project)[-1].endswith("(created 0, changed 0, removed 0)")
    assert tree.vendored(project / "vendored/kubeflow") is not None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("kustomization.yaml", "resources: ['https://example.org/x']", "needs 'https://example.org/x'"),
        (
            "all.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $(V)}\n",
            r"ConfigMap \$\(V\) still has",
        ),
        ("all.yaml", "kind: ConfigMap\nmetadata: {name: a}\n", "document 2 .* has no apiVersion"),
        ("../../../../vendored/kubeflow.toml", PINS + PATCH, "ConfigMap gone .* does not fit"),
    ],
)
def test_what_is_refused_leaves_the_old_tree(project: Path, name: str, text: str, message: str) -> None:
    """Whichever step refuses, the files are as they were, and nothing is left beside them."""
    generator = "configMapGenerator: [{name: values, literals: [V=x]}]\n"
    source = "{kind: ConfigMap, name: values, fieldPath: data.V}"
    target = "{select: {kind: Pod}, fieldPaths: [metadata.name]}"
    replacements = f"replacements: [{{source: {source}, targets: [{target}]}}]\n"
    sources(project, "kustomization.yaml", f"resources: [all.yaml]\n{generator}{replacements}")
    run(project)
    before = paths(project)
    sources(project, name, text)
    with pytest.raises(VendoringError, match=message) as caught:
        run(project)
    assert "\n" not in str(caught.value)
    assert paths(project) == before
    assert sorted(path.name for path in (project / "vendored").iterdir()) == ["kubeflow", "kubeflow.toml"]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "no space left for .*/vendored/kubeflow; vendoring needs"),
        (errno.EACCES, "/vendored/kubeflow cannot be written: Permission denied"),
    ],
)
def test_a_disk_that_refuses_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    """Full or forbidden: it is said in words, and the old tree stays."""
    run(project)

    def refuse(path: Path, _: bytes) -> int:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(VendoringError, match=message):
        run(project)
    assert tree.vendored(project / "vendored/kubeflow") is not None
    assert paths(project) == ["default--one.yaml", "default--two.yaml"]
