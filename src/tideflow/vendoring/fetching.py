"""Getting the sources of a release: from its git repositories by commit, or from a folder that has them.

Either way they are copied into a work folder, because rendering changes them::

    <work>/manifests/           the release
    <work>/remotes/<name>/      each repository that its kustomizations refer to
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from tideflow.errors import VendoringError
from tideflow.vendoring.programs import ProgramError, output_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tideflow.vendoring.pins import Release

# Seconds. The largest of the repositories is about 60 MB as one commit; a connection that is as good as
# dead is given up much earlier, by git's own low-speed limit.
_FETCH_TIMEOUT = 900.0
_LOCAL_TIMEOUT = 120.0
_GIT = (
    "git",
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "http.lowSpeedLimit=1000"),  # bytes per second
    *("-c", "http.lowSpeedTime=30"),  # seconds
)
# Set inside git's hooks, for one; `git rev-parse --local-env-vars` lists them.
_ANOTHER_REPOSITORY = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE"),
)


class UnreachableError(VendoringError):
    """Upstream did not answer, or git could not speak to it; another time it may."""


def from_git(release: Release, work: Path, progress: Callable[[str], None]) -> None:
    """Fetch the repositories of ``release`` at their commits into the folder ``work``.

    Raise UnreachableError when one cannot be reached, VendoringError when it does not have the commit.
    """
    progress(f"fetching {release.repository} at {release.commit[:12]}")
    _fetch(release.repository, release.commit, work / "manifests")
    for remote in release.remotes:
        progress(f"fetching {remote.repository} at {remote.commit[:12]}")
        _fetch(remote.repository, remote.commit, work / "remotes" / remote.name)


def from_folder(release: Release, source: Path, work: Path, progress: Callable[[str], None]) -> None:
    """Copy the sources of ``release`` from ``source`` into the folder ``work``.

    ``source`` holds ``<release>/manifests`` and ``<release>/remotes/<name>``. Raise VendoringError when one
    of them is not there.
    """
    folders = ["manifests", *(f"remotes/{remote.name}" for remote in release.remotes)]
    for folder in folders:
        origin = source / release.name / folder
        if not origin.is_dir():
            raise VendoringError(
                f"{origin} is not there",
                hint=f"give a folder that holds {', '.join(f'{release.name}/{name}' for name in folders)}",
            )
        progress(f"copying {origin}")
        _copy(origin, work / folder)


def _fetch(repository: str, commit: str, into: Path) -> None:
    into.mkdir(parents=True)
    env = _git_environment()

    def git(*arguments: str, timeout: float = _LOCAL_TIMEOUT) -> str:
        return output_of([*_GIT, *arguments], cwd=into, env=env, timeout=timeout)

    git("init", "--quiet", "--template=")
    try:
        git("fetch", "--quiet", "--depth=1", "--no-tags", repository, commit, timeout=_FETCH_TIMEOUT)
    except ProgramError as e:
        if "not our ref" in e.stderr:
            raise VendoringError(
                f"{repository} has no commit {commit}", hint="check the pin in kubeflow.toml"
            ) from e
        if "No space left on device" in e.stderr:
            raise
        raise UnreachableError(
            f"cannot fetch {repository}: {e.message}",
            hint="check the network, or give a folder that has the sources with --from",
        ) from e
    git("checkout", "--quiet", "--detach", "FETCH_HEAD")
    head = git("rev-parse", "HEAD").strip()
    if head != commit:
        raise VendoringError(f"{repository} answered with commit {head} when asked for {commit}")


def _git_environment() -> dict[str, str]:
    """Return our environment, less what binds git to another repository, and such that git never asks."""
    ours = {name: value for name, value in os.environ.items() if name not in _ANOTHER_REPOSITORY}
    return ours | {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "LC_ALL": "C",  # we look for words in what it says
    }


def _copy(source: Path, target: Path) -> None:
    """Copy files and folders, not their modes: a source may be read-only, the copy is changed."""
    target.mkdir(parents=True)
    for entry in sorted(source.iterdir()):
        if entry.name == ".git":
            continue
        if entry.is_dir() and not entry.is_symlink():
            _copy(entry, target / entry.name)
        elif entry.is_file():
            shutil.copyfile(entry, target / entry.name)
