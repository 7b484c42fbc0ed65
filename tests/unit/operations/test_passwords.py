"""Passwords that will not do are refused without being shown."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tideflow.errors import SettingError
from tideflow.operations import passwords
from tideflow.operations.passwords import ask, checked, generated_before, keeping


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "short7!",
        "12341234",
        "Password",
        "aaaaaaaaaaaa",
        "ü" * 40,
        "nul \0 byte",
        "two\nlines of it",
    ],
)
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


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where a rehearsal keeps its password; none is in the environment."""
    monkeypatch.delenv(passwords.VARIABLE, raising=False)
    return tmp_path / "platform" / "password"


def test_asking_a_rehearsal_writes_nothing(file: Path) -> None:
    """A dry run asks too, and must not replace the password that is live."""
    assert ask("a@b.cd", rehearsal_file=file, anew=False).generated
    assert not file.parent.exists()


def test_a_generated_password_is_kept_once_it_is_live(file: Path) -> None:
    """With mode 0600; it is taken again, until another is asked for."""
    first = ask("a@b.cd", rehearsal_file=file, anew=False)
    with keeping(file, first):
        assert generated_before(file) == [first]
    assert file.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in file.parent.iterdir()] == [file.name]
    assert ask("a@b.cd", rehearsal_file=file, anew=False) == first
    assert ask("a@b.cd", rehearsal_file=file, anew=True) != first


def test_while_the_password_changes_neither_is_lost(file: Path) -> None:
    """A run that is killed in between may have written the hash, or not."""
    first, second = (ask("a@b.cd", rehearsal_file=file, anew=True) for _ in range(2))
    with keeping(file, first):
        pass
    with pytest.raises(KeyboardInterrupt), keeping(file, second):
        raise KeyboardInterrupt
    assert generated_before(file) == [first, second]


def test_a_chosen_password_is_not_kept(file: Path) -> None:
    """And the file does not go on telling the one from before."""
    with keeping(file, ask("a@b.cd", rehearsal_file=file, anew=True)):
        pass
    with keeping(file, checked("a chosen one")):
        pass
    assert list(file.parent.iterdir()) == []


def test_a_damaged_password_file_costs_a_new_password(file: Path) -> None:
    """A file that cannot be read as a password is replaced."""
    file.parent.mkdir()
    file.write_bytes(b"\xff\xfe\x00")
    assert generated_before(file) == []
    made = ask("a@b.cd", rehearsal_file=file, anew=False)
    with keeping(file, made):
        pass
    assert generated_before(file) == [made]


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


def test_a_file_that_nobody_writes_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe has no mode of its own worth a look, and would be read from once."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    monkeypatch.setenv(passwords.FILE, str(tmp_path / "pipe"))
    monkeypatch.delenv(passwords.VARIABLE, raising=False)
    with pytest.raises(SettingError, match="is not a file that only you can read"):
        passwords.from_environment()


def typed(*lines: str) -> str:
    """Have a person type at the prompt; returns what the terminal showed, and how it ended."""
    code = (
        "from tideflow.errors import SettingError\n"
        "from tideflow.operations.passwords import prompt\n"
        "try: print('took', len(prompt('a@b.cd', otherwise='').text))\n"
        "except SettingError as error: print('refused', error)\n"
    )
    terminal, inner = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=inner, stdout=inner, stderr=inner, start_new_session=True
    ) as process:
        os.close(inner)
        shown = ""
        waiting = list(lines)
        with contextlib.suppress(OSError):  # that is how a terminal ends
            while found := os.read(terminal, 1000):
                shown += found.decode()
                if waiting and shown.endswith(": "):
                    os.write(terminal, waiting.pop(0).encode())
        process.wait()
    os.close(terminal)
    return shown


def test_who_types_one_that_will_not_do_is_asked_again() -> None:
    """And who types two different ones; nothing of it is shown."""
    good = "a good one\n"
    shown = typed("short\n", "short\n", good, "another one\n", good, good)
    assert "the password has fewer than 8 characters: choose another" in shown
    assert "took 10" in shown
    assert "good" not in shown
    assert "short\r\n" not in shown


def test_who_types_nothing_has_changed_nothing() -> None:
    """At the end of the input, as with Ctrl-C."""
    assert "refused no password for a@b.cd was given; nothing was changed" in typed("\x04")
