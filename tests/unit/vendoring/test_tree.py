"""The tree on disk: whole, or as it was."""

import errno
import os
from pathlib import Path

import pytest

from tideflow.errors import VendoringError
from tideflow.vendoring import tree
from tideflow.vendoring.pins import Release

RELEASE = Release(name="26.03", repository="r", commit="0" * 40, render="x", kubernetes=("1.34",))
FILES = {"core_v1--A/default--one.yaml": "one: é\n", "core_v1--B/default--two.yaml": "two: 2\n"}


def put(folder: Path, files: dict[str, str]) -> tree.Changes:
    """Replace the tree in ``folder``, as vendoring does."""
    with tree.workspace(folder) as work:
        return tree.replace(folder, files, RELEASE, work)


def test_a_tree_is_read_as_it_was_written(tmp_path: Path) -> None:
    """It knows its release and the number of its objects, and leaves nothing beside it."""
    folder = tmp_path / "kubeflow"
    assert put(folder, FILES) == tree.Changes(created=2, changed=0, removed=0)
    found = tree.vendored(folder)
    assert found is not None
    assert (found.release, found.commit, found.objects) == ("26.03", "0" * 40, 2)
    assert not found.edited()
    assert [path.name for path in tmp_path.iterdir()] == ["kubeflow"]


def test_changes_are_counted(tmp_path: Path) -> None:
    """One file new, one other than before, one gone."""
    folder = tmp_path / "kubeflow"
    put(folder, {"a/x.yaml": "1", "a/y.yaml": "1", "b/z.yaml": "1"})
    changes = put(folder, {"a/x.yaml": "1", "a/y.yaml": "2", "c/z.yaml": "1"})
    assert changes == tree.Changes(created=1, changed=1, removed=1)
    assert sorted(path.name for path in folder.iterdir()) == [".release.toml", "a", "c"]


def test_nothing_vendored_is_no_error(tmp_path: Path) -> None:
    """A folder that is not there, or has no object, is told from one that is not whole."""
    assert tree.vendored(tmp_path / "kubeflow") is None
    assert tree.vendored(tmp_path) is None


@pytest.mark.parametrize("missing", [".release.toml", "core_v1--A/default--one.yaml"])
def test_a_tree_that_is_not_whole_is_refused(tmp_path: Path, missing: str) -> None:
    """Without its marker, or with fewer files than that says, nothing is deployed."""
    folder = tmp_path / "kubeflow"
    put(folder, FILES)
    (folder / missing).unlink()
    with pytest.raises(VendoringError, match=r"is not whole: .*; run `make vendor`"):
        tree.vendored(folder)


def test_an_emptied_file_is_refused(tmp_path: Path) -> None:
    """Its object would vanish without a word; what was taken out on purpose has its reason in a comment."""
    folder = tmp_path / "kubeflow"
    put(folder, FILES)
    file = folder / "core_v1--A/default--one.yaml"
    file.write_text("# ours is made elsewhere\n")
    assert tree.vendored(folder) is not None
    file.write_text("")
    with pytest.raises(
        VendoringError, match=r"is not whole: core_v1--A/default--one\.yaml is empty; run `make vendor`"
    ):
        tree.vendored(folder)


@pytest.mark.parametrize("marker", ["release =", "release = 'x'\n", b"\xff"])
def test_a_damaged_marker_is_refused(tmp_path: Path, marker: str | bytes) -> None:
    """It is one line, whatever the damage."""
    folder = tmp_path / "kubeflow"
    put(folder, FILES)
    (folder / ".release.toml").write_bytes(marker if isinstance(marker, bytes) else marker.encode())
    with pytest.raises(VendoringError, match=r"\.release\.toml cannot be read; run `make vendor`"):
        tree.vendored(folder)


def test_an_edit_is_known_but_not_refused(tmp_path: Path) -> None:
    """The files are their owner's to change."""
    folder = tmp_path / "kubeflow"
    put(folder, FILES)
    (folder / "core_v1--A/default--one.yaml").write_text("one: 2\n")
    found = tree.vendored(folder)
    assert found is not None
    assert found.edited()


def test_a_failed_write_leaves_the_old_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up in the middle costs the new tree only."""
    folder = tmp_path / "kubeflow"
    put(folder, FILES)
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "default--three.yaml":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        put(folder, {"a/default--four.yaml": "4", "b/default--three.yaml": "3"})
    found = tree.vendored(folder)
    assert found is not None
    assert not found.edited()
    assert [path.name for path in tmp_path.iterdir()] == ["kubeflow"]


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    """A work folder without a run that holds it is nobody's."""
    folder = tmp_path / "kubeflow"
    stale = tmp_path / ".kubeflow.work"
    (stale / "new/a").mkdir(parents=True)
    (stale / "new/a/x.yaml").write_text("x")
    put(folder, FILES)
    assert not stale.exists()


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    """The second one would take the first one's work folder away."""
    folder = tmp_path / "kubeflow"
    with tree.workspace(folder) as work:
        with pytest.raises(VendoringError, match="another run is vendoring"), tree.workspace(folder):
            pass
        assert work.is_dir()


def test_a_file_system_without_exchange_is_served_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then two renames do it."""
    folder = tmp_path / "kubeflow"
    put(folder, {"a/x.yaml": "1"})
    monkeypatch.setattr(tree, "_exchange", lambda *_: False)
    put(folder, FILES)
    found = tree.vendored(folder)
    assert found is not None
    assert found.objects == 2
