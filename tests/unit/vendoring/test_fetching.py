"""Fetching: real git on repositories of this machine, and folders."""

import os
import subprocess
from pathlib import Path

import pytest

from tideflow.errors import VendoringError
from tideflow.vendoring.fetching import UnreachableError, from_folder, from_git
from tideflow.vendoring.pins import Release, Remote

IDENTITY = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def git(folder: Path, *arguments: str) -> str:
    """Run git in ``folder``."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=os.environ | IDENTITY, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Make a repository whose first commit has one file, and whose second has none of it."""
    folder = tmp_path / "upstream"
    (folder / "example").mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "example/file").write_text("first")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    git(folder, "tag", "-a", "v1", "-m", "first")
    (folder / "example/file").write_text("second")
    git(folder, "commit", "--quiet", "-a", "-m", "second")
    return folder


def release(repository: str, commit: str, *remotes: Remote) -> Release:
    """Pin ``repository`` at ``commit``."""
    return Release(
        name="1",
        repository=repository,
        commit=commit,
        render="example",
        kubernetes=("1.34",),
        remotes=remotes,
    )


def test_git_fetches_exactly_the_pinned_commit(repository: Path, tmp_path: Path) -> None:
    """The branch has moved on since; that does not matter. Remotes are fetched likewise."""
    commits = [git(repository, "rev-parse", name) for name in ("main~1", "main")]
    url = f"file://{repository}"
    remote = Remote(name="other-v2", repository=url, commit=commits[1], url="https://example.org/{path}")
    lines: list[str] = []
    from_git(release(url, commits[0], remote), tmp_path / "work", lines.append)
    assert (tmp_path / "work/manifests/example/file").read_text() == "first"
    assert (tmp_path / "work/remotes/other-v2/example/file").read_text() == "second"
    assert lines == [f"fetching {url} at {commit[:12]}" for commit in commits]


def test_another_repositorys_environment_does_not_matter(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git's hooks run with variables that bind git to the repository of the hook."""
    mine = tmp_path / "mine"
    mine.mkdir()
    git(mine, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(mine / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(mine / ".git/index"))
    monkeypatch.delenv("GIT_WORK_TREE", raising=False)
    commit = subprocess.run(
        ["git", "--git-dir", str(repository / ".git"), "rev-parse", "main"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    from_git(release(f"file://{repository}", commit), tmp_path / "work", lambda _: None)
    assert (tmp_path / "work/manifests/example/file").read_text() == "second"
    assert not (mine / ".git/FETCH_HEAD").exists()


def test_a_commit_that_upstream_lacks_is_not_unreachable(repository: Path, tmp_path: Path) -> None:
    """Trying again would not help: the pin is wrong."""
    with pytest.raises(VendoringError, match=r"has no commit f{40}; check the pin") as caught:
        from_git(release(f"file://{repository}", "f" * 40), tmp_path / "work", lambda _: None)
    assert not isinstance(caught.value, UnreachableError)


def test_a_tag_is_not_taken_for_a_commit(repository: Path, tmp_path: Path) -> None:
    """An annotated tag has a hash of its own, by which git fetches too."""
    tag = git(repository, "rev-parse", "v1")
    with pytest.raises(VendoringError, match=r"answered with commit .* when asked for"):
        from_git(release(f"file://{repository}", tag), tmp_path / "work", lambda _: None)


@pytest.mark.parametrize("url", ["https://127.0.0.1:9/none.git", "file:///nowhere/at/all"])
def test_upstream_out_of_reach_is_one_line(tmp_path: Path, url: str) -> None:
    """It says which repository, why, and what else can be done; nobody is asked for a password."""
    with pytest.raises(UnreachableError, match=f"cannot fetch {url}: git failed: fatal: .*--from") as caught:
        from_git(release(url, "f" * 40), tmp_path / "work", lambda _: None)
    assert "\n" not in str(caught.value)


def test_git_missing_is_said(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without git cannot vendor from upstream."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VendoringError, match="git is not installed"):
        from_git(release(f"file://{repository}", "f" * 40), tmp_path / "work", lambda _: None)


def test_a_folder_is_copied_so_that_it_can_be_changed(tmp_path: Path) -> None:
    """The sources may be read-only, and may be a checkout; the copy is neither."""
    source = tmp_path / "source/1/manifests"
    (source / "example").mkdir(parents=True)
    (source / ".git").mkdir()
    (source / "example/file").write_text("text")
    (source / "example/file").chmod(0o400)
    (source / "example").chmod(0o500)
    try:
        from_folder(release("r", "f" * 40), tmp_path / "source", tmp_path / "work", lambda _: None)
    finally:
        (source / "example").chmod(0o700)
    copy = tmp_path / "work/manifests"
    assert (copy / "example/file").read_text() == "text"
    assert (copy / "example/file").stat().st_mode & 0o200
    assert (copy / "example").stat().st_mode & 0o200
    assert not (copy / ".git").exists()


def test_a_folder_that_lacks_a_remote_is_refused(tmp_path: Path) -> None:
    """The message says what is missing, and how the folder has to look."""
    (tmp_path / "1/manifests").mkdir(parents=True)
    remote = Remote(name="a-v1", repository="r", commit="f" * 40, url="https://example.org/{path}")
    with pytest.raises(
        VendoringError, match=r"1/remotes/a-v1 is not there; give a folder that holds 1/manifests, "
    ):
        from_folder(release("r", "f" * 40, remote), tmp_path, tmp_path / "work", lambda _: None)
