"""The command: what it prints, and how it ends."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from tideflow import __version__
from tideflow.cli import main


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
