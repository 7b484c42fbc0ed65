"""Rendering: real kustomize on small kustomizations, with the network out of reach."""

from pathlib import Path

import pytest
import yaml

from tideflow.errors import VendoringError
from tideflow.vendoring.pins import Release, Remote
from tideflow.vendoring.rendering import Rendered, render

COMMIT = "0" * 40
FOLDERS = Remote(name="crds-v1", repository="r", commit=COMMIT, url="https://github.com/o/crds/{path}?ref=v1")
FILE = Remote(
    name="app-v2",
    repository="r",
    commit=COMMIT,
    url="https://github.com/o/app/v2/all.yaml",
    render="config/default",
)
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {}}}\n"


def write(work: Path, files: dict[str, str]) -> None:
    """Lay out fetched sources."""
    for path, text in files.items():
        target = work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def run(work: Path, files: dict[str, str], *remotes: Remote) -> Rendered:
    """Render ``files``."""
    write(work, files)
    release = Release(
        name="1", repository="r", commit=COMMIT, render="example", kubernetes=("1.34",), remotes=remotes
    )
    return render(release, work, lambda _: None)


def names(rendered: Rendered) -> list[str]:
    """Return the names of the objects in the order of rendering."""
    return [each["metadata"]["name"] for each in yaml.safe_load_all(rendered.text)]


def test_a_remote_folder_is_taken_from_its_pinned_copy(tmp_path: Path) -> None:
    """The kustomization that names it by URL may be a part of a part."""
    rendered = run(
        tmp_path,
        {
            "manifests/example/kustomization.yaml": "resources: [../base]",
            "manifests/base/kustomization.yaml": "resources: ['https://github.com/o/crds/a/b?ref=v1']",
            "remotes/crds-v1/a/b/kustomization.yml": "resources: [cm.yaml]",
            "remotes/crds-v1/a/b/cm.yaml": CONFIG_MAP.format("from-remote"),
        },
        FOLDERS,
    )
    assert names(rendered) == ["from-remote"]


def test_a_published_file_is_rendered_from_its_repository(tmp_path: Path) -> None:
    """Its own variables and prefixes are applied to it alone."""
    rendered = run(
        tmp_path,
        {
            "manifests/example/kustomization.yaml": f"resources: [cm.yaml, '{FILE.url}']\nnameSuffix: -x",
            "manifests/example/cm.yaml": CONFIG_MAP.format("own"),
            "remotes/app-v2/config/default/kustomization.yaml": "resources: [../cm]\nnamePrefix: app-",
            "remotes/app-v2/config/cm/kustomization.yaml": "resources: [cm.yaml]",
            "remotes/app-v2/config/cm/cm.yaml": CONFIG_MAP.format("one"),
        },
        FILE,
    )
    assert sorted(names(rendered)) == ["app-one-x", "own-x"]


def test_a_published_file_that_is_there_is_taken(tmp_path: Path) -> None:
    """A folder given by the user has it ready."""
    rendered = run(
        tmp_path,
        {
            "manifests/example/kustomization.yaml": f"resources: ['{FILE.url}']",
            "remotes/app-v2/all.yaml": CONFIG_MAP.format("ready"),
        },
        FILE,
    )
    assert names(rendered) == ["ready"]


@pytest.mark.parametrize(
    "entry",
    [
        "https://github.com/o/crds/a/b?ref=v2",
        "github.com/o/crds//a/b?ref=v1",
        "git@github.com:o/crds.git",
        "../not/there",
    ],
)
@pytest.mark.parametrize("key", ["resources", "components", "bases"])
def test_what_is_not_pinned_is_refused(tmp_path: Path, key: str, entry: str) -> None:
    """URL and file are named, whichever way the URL is written."""
    with pytest.raises(VendoringError) as caught:
        run(tmp_path, {"manifests/example/kustomization.yaml": f"{key}: ['{entry}']"}, FOLDERS)
    assert entry in str(caught.value)
    assert "manifests/example/kustomization.yaml" in str(caught.value)


def test_a_patch_from_the_network_is_refused(tmp_path: Path) -> None:
    """It is not only resources that kustomize downloads; a patch in place is no file."""
    text = "resources: [cm.yaml]\npatches:\n- patch: |-\n    {}\n- path: https://example.org/p.yaml\n"
    files = {
        "manifests/example/kustomization.yaml": text,
        "manifests/example/cm.yaml": CONFIG_MAP.format("a"),
    }
    with pytest.raises(VendoringError, match=r"needs 'https://example.org/p.yaml'"):
        run(tmp_path, files)


def test_kustomizations_that_take_no_part_do_not_matter(tmp_path: Path) -> None:
    """A repository has examples that need more than is pinned."""
    rendered = run(
        tmp_path,
        {
            "manifests/example/kustomization.yaml": "resources: [cm.yaml]",
            "manifests/example/cm.yaml": CONFIG_MAP.format("a"),
            "manifests/other/kustomization.yaml": "resources: ['https://example.org/elsewhere']",
        },
    )
    assert names(rendered) == ["a"]


def test_placeholders_in_selectors_are_found_again(tmp_path: Path) -> None:
    """Written for kustomize 5.7 and before, which compared what 5.8 takes for a regular expression."""
    rendered = run(
        tmp_path,
        {
            "manifests/example/kustomization.yaml": """
resources: [cm.yaml]
configMapGenerator:
- name: values
  literals: [who=somebody]
replacements:
- source: {kind: ConfigMap, name: values, fieldPath: data.who}
  targets:
  - select: {kind: ConfigMap, name: $(who)}
    fieldPaths: [metadata.name]
""",
            "manifests/example/cm.yaml": CONFIG_MAP.format("$(who)"),
        },
    )
    assert "somebody" in names(rendered)
    assert "$(who)" not in rendered.text
    assert rendered.variables == {"who": "manifests/example/kustomization.yaml"}


def test_declared_variables_are_known_with_their_file(tmp_path: Path) -> None:
    """Kustomize leaves this one, since nothing replaces it in data; that is refused later."""
    rendered = run(
        tmp_path,
        {
            "manifests/example/kustomization.yaml": """
resources: [cm.yaml]
vars:
- name: NS
  objref: {kind: ConfigMap, name: a, apiVersion: v1}
  fieldref: {fieldpath: metadata.name}
""",
            "manifests/example/cm.yaml": CONFIG_MAP.format("a") + "data: {x: $(NS)}\n",
        },
    )
    assert rendered.variables == {"NS": "manifests/example/kustomization.yaml"}
    assert "$(NS)" in rendered.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resources: [", "manifests/example/kustomization.yaml is not YAML"),
        ("- a", "manifests/example/kustomization.yaml is not a kustomization"),
        ("resources: [{}]", "manifests/example/kustomization.yaml is not a kustomization"),
        ("vars: [x]", "manifests/example/kustomization.yaml is not a kustomization"),
        ("resources: [cm.yaml]\nnonsense: 1", "kubectl failed: error: .*nonsense"),
    ],
)
def test_a_broken_kustomization_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    """Whether it is found here or by kustomize."""
    files = {
        "manifests/example/kustomization.yaml": text,
        "manifests/example/cm.yaml": CONFIG_MAP.format("a"),
    }
    with pytest.raises(VendoringError, match=message) as caught:
        run(tmp_path, files)
    assert "\n" not in str(caught.value)


def test_a_folder_without_kustomization_is_named(tmp_path: Path) -> None:
    """As when the pin is of a commit before the folder was there."""
    with pytest.raises(VendoringError, match=r"manifests/example has no kustomization.yaml"):
        run(tmp_path, {"manifests/README": ""})


def test_no_kubeconfig_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendering depends on the sources alone: a kubeconfig that cannot be read does not matter."""
    broken = tmp_path / "kubeconfig"
    broken.write_text("{")
    monkeypatch.setenv("KUBECONFIG", str(broken))
    files = {
        "manifests/example/kustomization.yaml": "resources: [cm.yaml]",
        "manifests/example/cm.yaml": CONFIG_MAP.format("a"),
    }
    assert names(run(tmp_path, files)) == ["a"]
