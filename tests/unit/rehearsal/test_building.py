"""Which folder of programs a rehearsal uses; the compiling itself is among the integration tests."""

from __future__ import annotations

import platform
import shutil
from typing import TYPE_CHECKING

import pytest

from tideflow.errors import RehearsalError
from tideflow.rehearsal import building, compiling

if TYPE_CHECKING:
    from pathlib import Path


def programs(folder: Path, *names: str) -> Path:
    """Make executable files of these names."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def test_a_given_folder_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable names ready programs: nothing is compiled and nothing said."""
    folder = programs(tmp_path / "ready", *building.PROGRAMS)
    monkeypatch.setenv(building.OVERRIDE, str(folder))
    said: list[str] = []
    assert building.binaries(said.append) == folder
    assert said == []


def test_a_given_folder_must_hold_all_five(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing, or is there and cannot be run, is named."""
    folder = programs(tmp_path / "ready", *building.PROGRAMS)
    (folder / "kwok").unlink()
    (folder / "etcd").chmod(0o644)
    monkeypatch.setenv(building.OVERRIDE, str(folder))
    with pytest.raises(RehearsalError, match="where etcd, kwok cannot be found or run") as raised:
        building.binaries(print)
    assert building.OVERRIDE in raised.value.hint


def test_oauth2_proxy_is_looked_for_beside_given_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else in the cache, in a folder of its own: a new version of it compiles nothing else."""
    folder = programs(tmp_path / "ready", *building.PROGRAMS)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(building.OVERRIDE, str(folder))
    with pytest.raises(RehearsalError, match="where oauth2-proxy cannot be found or run"):
        building.auth_proxy(print)
    kept = building.auth_proxy_beside(folder)
    assert kept.parent.parent == building.cache_folder()
    assert kept.parent.name != building.digest()
    programs(folder, building.AUTH_PROXY)
    assert building.auth_proxy(print) == building.auth_proxy_beside(folder) == folder / building.AUTH_PROXY


def test_oauth2_proxy_knows_its_version() -> None:
    """The one that its module asks for."""
    assert building._auth_proxy().flags[-1].endswith("/version.VERSION=v7.15.3")


def test_whole_programs_in_the_cache_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was compiled before is found by the digest."""
    monkeypatch.delenv(building.OVERRIDE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = building.cache_folder() / building.digest()
    folder.parent.mkdir(parents=True)
    programs(folder, *building.PROGRAMS)
    assert building.binaries(pytest.fail) == folder


def test_sources_flags_and_platform_each_change_the_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever decides what comes out decides where it is kept."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    digests = [building.digest()]
    assert building.digest() == digests[0]
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    digests.append(building.digest())
    monkeypatch.setattr(compiling, "FLAGS", (*compiling.FLAGS, "-race"))
    digests.append(building.digest())
    monkeypatch.setattr(building, "SOURCES", shutil.copytree(building.SOURCES, tmp_path / "program"))
    assert building.digest() == digests[-1]
    for name in ("main.go", "go.mod", "go.sum"):
        with (tmp_path / "program" / name).open("a") as stream:
            stream.write("\n")
        digests.append(building.digest())
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "arm64"), ("Linux", "riscv64")])
def test_another_platform_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    """Nothing is tried where it has never been seen to work."""
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.delenv(building.OVERRIDE, raising=False)
    with pytest.raises(RehearsalError, match=f"this is {system} on {machine}"):
        building.binaries(print)


def test_a_cache_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the way is an error in one line, not a traceback."""
    monkeypatch.delenv(building.OVERRIDE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".cache").write_text("")
    with pytest.raises(RehearsalError, match="cannot be used"):
        building.binaries(print)
