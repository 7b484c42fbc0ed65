"""Pins: what kubeflow.toml may say, and what is said about it when it is wrong."""

from pathlib import Path

import pytest

from tideflow.errors import VendoringError
from tideflow.vendoring import pins

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MINIMAL = f"""
default = "1"
[releases."1"]
repository = "https://example.org/it"
commit = "{COMMIT}"
render = "example"
kubernetes = ["1.34"]
"""
PROJECT = Path(__file__).parents[3]


def read(folder: Path, text: str) -> pins.Pins:
    """Read pins that say ``text``."""
    path = folder / "kubeflow.toml"
    path.write_text(text, encoding="utf-8")
    return pins.read(path)


def test_the_project_pins_two_releases() -> None:
    """The file that is shipped can be read, and has what every release needs."""
    shipped = pins.read(PROJECT / "vendored/kubeflow.toml")
    assert shipped.release().name == "26.03"
    assert [remote.name for remote in shipped.release().remotes] == [
        "argo-workflows-v3.7.3",
        "jobset-v0.10.1",
    ]
    assert shipped.release("v1.10.2").remotes == ()
    for name in shipped.releases:
        release = shipped.release(name)
        assert release.kubernetes
        assert len(release.credentials) == 8
        assert release.gates[0].after.name == "istio-cni-node"


def test_what_is_stated_for_all_is_stated_for_each(tmp_path: Path) -> None:
    """A release has the common patches first, then its own."""
    patch = 'kind = "A"\nname = "{}"\npath = "/x"\nwas = 1\nbecomes = 2\nreason = "r"\n'
    common, own = patch.format("common"), patch.format("own")
    found = read(tmp_path, f'{MINIMAL}[[releases."1".patches]]\n{own}[[patches]]\n{common}')
    assert [each.name for each in found.release().patches] == ["common", "own"]


def test_an_unknown_release_is_refused_with_those_there_are(tmp_path: Path) -> None:
    """Whoever mistypes a release sees what to choose from."""
    with pytest.raises(VendoringError, match=r"no release '2'; it has 1;"):
        read(tmp_path, MINIMAL).release("2")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('default = "1"', 'default = "2"', "no release '2'"),
        ('default = "1"', "", "default: Field required"),
        (COMMIT, COMMIT[:12], "releases.1.commit: String should match"),
        ('render = "example"', "", "releases.1.render: Field required"),
        ('render = "example"', 'rendr = "example"', "releases.1.rendr: Unexpected keyword"),
        ('["1.34"]', '["latest"]', r"releases.1.kubernetes.0: String should match"),
        ('["1.34"]', "[]", "releases.1.kubernetes: Tuple should have at least 1 item"),
        ('"example"', '"example', "cannot be read"),
        ('[releases."1"]', "[other]", "other: Unexpected keyword"),
        ('[releases."1"]', "[[releases]]", "releases: Input should be a valid dict"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, before: str, after: str, message: str) -> None:
    """Every mistake is one line that names the file and the key."""
    with pytest.raises(VendoringError, match=message) as caught:
        read(tmp_path, MINIMAL.replace(before, after))
    assert "\n" not in str(caught.value)
    assert "kubeflow.toml" in str(caught.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    """Outside the project's folder there are no pins."""
    with pytest.raises(VendoringError, match="is not there"):
        pins.read(tmp_path / "kubeflow.toml")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://example.org/it/base/crds?ref=v1", "base/crds"),
        ("https://example.org/it/base/crds?ref=v2", None),
        ("https://example.org/it/?ref=v1", None),
        ("https://example.org/other/base?ref=v1", None),
        ("../base", None),
    ],
)
def test_a_remote_knows_the_folders_of_its_repository(url: str, path: str | None) -> None:
    """Another reference, or another repository, is not pinned by it."""
    remote = pins.Remote(name="it", repository="r", commit=COMMIT, url="https://example.org/it/{path}?ref=v1")
    assert remote.path_of(url) == path


def test_a_remote_without_a_path_is_one_file() -> None:
    """It is meant by its URL and by no other."""
    remote = pins.Remote(name="it", repository="r", commit=COMMIT, url="https://example.org/m.yaml")
    assert remote.path_of("https://example.org/m.yaml") == ""
    assert remote.path_of("https://example.org/m.yaml?x") is None


def test_a_pattern_means_objects_by_kind_namespace_and_name() -> None:
    """Kustomize appends digests to names, so that a pattern is needed."""
    pattern = pins.ObjectPattern(kind="Secret", namespace="a", name="proxy-*")
    secret = {"kind": "Secret", "metadata": {"namespace": "a", "name": "proxy-h67"}}
    assert pattern.matches(secret)
    assert not pattern.matches(secret | {"kind": "ConfigMap"})
    assert not pattern.matches(secret | {"metadata": {"name": "proxy-h67"}})
    assert not pattern.matches(secret | {"metadata": {"namespace": "a", "name": "other"}})
