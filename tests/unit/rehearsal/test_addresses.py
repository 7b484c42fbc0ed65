"""Ports that are free, and socket folders that are ours alone and short enough."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tideflow.errors import RehearsalError
from tideflow.rehearsal.addresses import free_port, make_socket_folder, port_is_free, socket_folder


def test_a_free_port_can_be_listened_on_and_then_is_not_free() -> None:
    """It is below those that Linux uses for outgoing connections."""
    port = free_port()
    assert port < 32768
    assert port_is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not port_is_free(port)
    assert port_is_free(port)


def test_a_port_is_not_free_that_somebody_has_over_udp() -> None:
    """For a twin answers over both."""
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        assert not port_is_free(other.getsockname()[1])


def test_each_cluster_has_a_socket_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same folder leads to the same one, by whatever path."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")  # noqa: S108 - any folder that is there
    (tmp_path / "link").symlink_to(tmp_path)
    assert socket_folder(tmp_path / "a") == socket_folder(tmp_path / "link" / "a")
    assert socket_folder(tmp_path / "a") != socket_folder(tmp_path / "b")
    assert socket_folder(tmp_path / "a").parent == Path("/tmp")  # noqa: S108 - the same


def test_a_long_or_missing_runtime_folder_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket's path has at most 107 bytes, whatever the folder of temporary files is called."""
    deep = tmp_path / ("long" * 30)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    for runtime in (str(deep), "/nowhere", ""):
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        assert len(str(socket_folder(tmp_path) / "localhost:2380")) <= 107


def test_a_socket_folder_is_made_for_its_user_alone(tmp_path: Path) -> None:
    """And may be there already."""
    for _ in range(2):
        assert make_socket_folder(tmp_path / "s").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["open", "link", "file"])
def test_what_somebody_else_may_have_put_there_is_refused(tmp_path: Path, kind: str) -> None:
    """In a folder of everybody's, a name can be taken by anybody."""
    folder = tmp_path / "s"
    match kind:
        case "open":
            folder.mkdir()
            folder.chmod(0o755)
        case "link":
            (tmp_path / "elsewhere").mkdir(mode=0o700)
            folder.symlink_to(tmp_path / "elsewhere")
        case _:
            folder.write_text("")
    with pytest.raises(RehearsalError, match=r"is not a folder that is yours alone|cannot be made"):
        make_socket_folder(folder)
