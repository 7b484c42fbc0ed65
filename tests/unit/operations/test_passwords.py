"""Passwords that will not do are refused without being shown."""

from pathlib import Path

import pytest

from tideflow.errors import SettingError
from tideflow.operations import passwords
from tideflow.operations.passwords import ask, checked, generated_before


@pytest.mark.parametrize("text", ["", " ", "x", "short7!", "12341234", "Password", "aaaaaaaaaaaa", "ü" * 40])
def test_weak_passwords(text: str) -> None:
    """Empty, short, known and repetitive ones are refused, and none of them is quoted."""
    with pytest.raises(SettingError, match="the password") as caught:
        checked(text)
    if len(text) > 1:
        assert text not in str(caught.value)


def test_a_password_does_not_show_itself() -> None:
    """Tracebacks and debug output show ``repr``."""
    assert "canary" not in repr(checked("canary-password"))


def test_a_hash_is_of_one_password() -> None:
    """The hash is bcrypt's with cost 12, and matches only what it was made of."""
    password = checked("correct horse")
    hashed = password.hash()
    assert hashed.startswith("$2b$12$")
    assert password.matches(hashed)
    assert not checked("incorrect horse").matches(hashed)
    assert not password.matches("")
    assert not password.matches("generated-at-install")


def test_a_rehearsal_makes_a_password_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made once, kept with mode 0600, and made again only on request."""
    monkeypatch.delenv(passwords.VARIABLE, raising=False)
    file = tmp_path / "platform" / "password"
    first = ask("a@b.cd", rehearsal_file=file, anew=False)
    assert file.stat().st_mode & 0o777 == 0o600
    assert ask("a@b.cd", rehearsal_file=file, anew=False) == first == generated_before(file)
    assert ask("a@b.cd", rehearsal_file=file, anew=True) != first


def test_a_damaged_password_file_costs_a_new_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be read as a password is replaced."""
    monkeypatch.delenv(passwords.VARIABLE, raising=False)
    file = tmp_path / "password"
    file.write_bytes(b"\xff\xfe\x00")
    assert generated_before(file) is None
    made = ask("a@b.cd", rehearsal_file=file, anew=False)
    assert generated_before(file) == made


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``TIDEFLOW_PASSWORD`` counts in a rehearsal too; an empty one is an error, not a missing one."""
    monkeypatch.setenv(passwords.VARIABLE, "from the environment")
    assert ask("a@b.cd", rehearsal_file=tmp_path / "password", anew=False).text == "from the environment"
    monkeypatch.setenv(passwords.VARIABLE, "")
    with pytest.raises(SettingError, match="is empty"):
        ask("a@b.cd", rehearsal_file=tmp_path / "password", anew=False)


def test_without_a_terminal_and_a_value_it_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits at a prompt that nobody sees."""
    monkeypatch.delenv(passwords.VARIABLE, raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(SettingError, match="no terminal to ask on"):
        ask("a@b.cd", rehearsal_file=None, anew=False)
