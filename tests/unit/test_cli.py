"""The command: what it prints, and how it ends."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from tideflow import __version__
from tideflow.cli import main
from tideflow.rehearsal.building import AUTH_PROXY, OVERRIDE, PROGRAMS


def test_the_version_is_the_packages() -> None:
    """``tideflow --version`` is what goes into a report."""
    assert CliRunner().invoke(main, ["--version"]).output == f"tideflow, version {__version__}\n"


def test_an_error_is_one_line_and_an_exit_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of a project there is nothing to vendor; that is no traceback."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["vendor"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "tideflow: vendored/kubeflow.toml is not there; run this in the folder of the project\n"
    )


def test_an_unknown_release_ends_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first line of output would be the fetching."""
    (tmp_path / "vendored").mkdir()
    pins = Path(__file__).parents[2] / "vendored/kubeflow.toml"
    (tmp_path / "vendored/kubeflow.toml").write_bytes(pins.read_bytes())
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["vendor", "--release", "1.4"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "no release '1.4'; it has 26.03, v1.10.2" in result.stderr


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a folder of a control plane's programs, which nobody runs."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in (*PROGRAMS, AUTH_PROXY):
        (folder / name).touch(mode=0o700)
    monkeypatch.setenv(OVERRIDE, str(folder))


@pytest.mark.usefixtures("programs")
def test_a_twin_that_cannot_serve_makes_no_token(tmp_path: Path) -> None:
    """It says in one line which port is in use, or what it cannot read, and nothing else."""
    folder = tmp_path / "twin"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = CliRunner().invoke(main, ["twin", "--port", str(port), "--folder", str(folder)])
    assert (taken.exit_code, taken.stdout) == (1, "")
    assert taken.stderr == (
        f"tideflow: port {port} is in use by another program; choose another one with --port\n"
    )
    (folder / "state.json").write_text("soup")
    damaged = CliRunner().invoke(main, ["twin", "--port", str(port), "--folder", str(folder)])
    assert (damaged.exit_code, damaged.stdout) == (1, "")
    assert damaged.stderr.count("\n") == 1
    assert str(folder / "state.json") in damaged.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "state.json"]
