"""What the settings say of TLS: what could not work is refused before anything is made."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.connectors.test_settings import read

from tideflow.errors import SettingError

FILES = {"tls": "files", "tls_certificate": "a.crt", "tls_key": "a.key"}


def test_the_default_is_what_can_be_had() -> None:
    """A rehearsal has its own CA, a real platform Let's Encrypt."""
    assert read().encryption.mode == "self-signed"
    assert read(rehearsal=False).encryption.mode == "acme"
    assert read(tls="acme").encryption.acme_email == "user@example.com"
    assert not read(tls="off").encryption.is_on


def test_files_are_paths() -> None:
    """From the folder of the project, or from one's home."""
    found = read(tls="files", tls_certificate="a.crt", tls_key="~/a.key").encryption
    assert found.certificate == Path("a.crt")
    assert found.key == Path.home() / "a.key"


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"tls": "on"}, "the setting tls is 'on', none of: acme, files, self-signed, off"),
        ({"tls": True}, "the setting tls is True"),
        ({"acme_email": "nobody"}, "the setting acme_email is 'nobody', which is not an e-mail address"),
        ({"tls": "files"}, "the setting tls_certificate is not set, and the setting tls needs it"),
        ({**FILES, "tls_key": None}, "the setting tls_key is not set"),
        ({**FILES, "tls_key": ""}, "the setting tls_key is ''"),
        ({**FILES, "tls": "acme"}, 'the setting tls_certificate is set, .* being "acme"'),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changed: dict[str, Any], problem: str) -> None:
    """Whichever platform it is."""
    with pytest.raises(SettingError, match=problem):
        read(**changed)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, "the setting acme_email is not set"),
        ({"acme_email": "a@example.org", "hostname": "a.localhost"}, "the setting hostname is a.localhost"),
        (
            {"acme_email": "a@example.org", "load_balancer_sources": ["192.0.2.0/24"]},
            "the setting load_balancer_sources keeps Let's Encrypt out",
        ),
    ],
)
def test_what_lets_encrypt_would_refuse_is_refused_on_a_real_platform(
    changed: dict[str, Any], problem: str
) -> None:
    """And with another kind of certificate it will do."""
    own = {"hostname": "ml.example.org", "email": "me@example.org", **changed}
    with pytest.raises(SettingError, match=problem):
        read(rehearsal=False, **own).refuse_placeholders()
    read(rehearsal=False, **own, tls="self-signed").refuse_placeholders()
