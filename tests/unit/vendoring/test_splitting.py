"""Splitting: one file per object, whatever it is called, and nothing that is no object."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tideflow.errors import VendoringError
from tideflow.vendoring.splitting import Manifest, refuse_unresolved, split


def manifest(name: str, namespace: str = "", api_version: str = "v1", kind: str = "Secret") -> Manifest:
    """Make an object that has only an identity."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return Manifest("", {"apiVersion": api_version, "kind": kind, "metadata": metadata})


LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
# RBAC takes any name that can be part of a path.
PATH_SEGMENT = st.text(min_size=1, max_size=8).filter(
    lambda name: not ({"/", "%"} & set(name)) and name not in {".", ".."} and name.isprintable()
)


def test_files_are_called_after_their_objects() -> None:
    """Group, version, kind, namespace and name are all there."""
    assert manifest("a", "ns").path == "core_v1--Secret/ns--a.yaml"
    assert manifest("a").path == "core_v1--Secret/default--a.yaml"
    assert manifest("d", "ns", "apps/v1", "Deployment").path == "apps_v1--Deployment/ns--d.yaml"
    role = manifest("system:node", api_version="rbac.authorization.k8s.io/v1", kind="ClusterRole")
    assert role.path == "rbac.authorization.k8s.io_v1--ClusterRole/default--system%3Anode.yaml"
    assert manifest("b--c", "a").path != manifest("c", "a--b").path


@settings(deadline=None)
@given(first=st.tuples(LABEL, PATH_SEGMENT), second=st.tuples(LABEL, PATH_SEGMENT))
def test_no_two_objects_share_a_file(first: tuple[str, str], second: tuple[str, str]) -> None:
    """The file tells namespace and name apart, always."""
    paths = [manifest(name, namespace).path for namespace, name in (first, second)]
    assert (paths[0] == paths[1]) == (first == second)
    assert all(path.count("/") == 1 and path.isascii() for path in paths)


def test_a_file_is_what_was_rendered() -> None:
    """Nothing is reformatted: a document keeps its bytes, block scalars with dashes in them too."""
    one = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  x: |\n    ---\n    y\n"
    two = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: two\n"
    assert [each.text for each in split(f"{one}---\n{two}---\n")] == [one, two]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("- a\n- b", "document 2 is not an object"),
        ("kind: [", "document 2 is not YAML"),
        ("kind: A\nmetadata: {name: a}", r"document 2 \(A a\) has no apiVersion"),
        ("apiVersion: v1\nmetadata: {name: a}", r"document 2 \(v1 a\) has no kind"),
        ("apiVersion: v1\nkind: A\nmetadata: {}", r"document 2 \(v1 A\) has no metadata.name"),
        ("apiVersion: v1\nkind: A", r"document 2 \(v1 A\) has no metadata.name"),
        ("apiVersion: v1\nkind: A\nmetadata: {name: 7}", "has no metadata.name"),
        ("x: 1", r"document 2 \(nothing known\) has no apiVersion"),
    ],
)
def test_what_is_no_object_is_refused(document: str, message: str) -> None:
    """The message counts documents, as there is no name to give."""
    with pytest.raises(VendoringError, match=message):
        split(f"apiVersion: v1\nkind: A\nmetadata: {{name: first}}\n---\n{document}\n")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("apiVersion: v1\nkind: A\nmetadata: {name: a}", "apiVersion: v1\nkind: A\nmetadata: {name: a}"),
        (
            "apiVersion: autoscaling/v1\nkind: A\nmetadata: {name: a, namespace: default}",
            "apiVersion: autoscaling/v2\nkind: A\nmetadata: {name: a}",
        ),
    ],
)
def test_the_same_object_twice_is_refused(first: str, second: str) -> None:
    """Two versions of a group show the same object, and no namespace is the default one."""
    with pytest.raises(VendoringError, match="A a was rendered twice"):
        split(f"{first}\n---\n{second}\n")


def test_a_placeholder_of_a_declared_variable_is_refused() -> None:
    """Object and kustomization are named."""
    left = Manifest("name: $(profile-name)\n", manifest("x", "ns").content)
    with pytest.raises(
        VendoringError, match=r"Secret ns/x still has \$\(profile-name\), which a/k.yaml declares"
    ):
        refuse_unresolved([left], {"profile-name": "a/k.yaml"})


def test_other_placeholders_are_left_alone() -> None:
    """Containers refer to their environment in the same way, and ``$$(V)`` is how they write it literally."""
    refuse_unresolved([Manifest("args: [$(PORT), $$(V)]\n", manifest("x").content)], {"V": "k.yaml"})
