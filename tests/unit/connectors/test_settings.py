"""Settings are refused before anything is made."""

import runpy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideflow.connectors.settings import Settings, check_cluster_name, refuse_misspelt
from tideflow.errors import SettingError

DEFAULTS: dict[str, Any] = {
    name: value for name, value in runpy.run_path("group_data/all.py").items() if not name.startswith("_")
}


def read(*, rehearsal: bool = True, **changed: object) -> Settings:
    """Read the defaults of group_data/all.py with some of them changed."""
    return Settings.read(DEFAULTS | changed, rehearsal=rehearsal)


def test_the_defaults_will_do_for_a_rehearsal() -> None:
    """What group_data/all.py holds can be read, in the units that the code uses."""
    settings = read()
    assert settings.hostname == "kubeflow.localhost"
    assert settings.timeout_seconds == 30 * 60
    assert settings.kubeconfig_seconds == 12 * 3600
    assert settings.pod_ready_seconds == (1.0, 4.0)
    assert settings.prune == "objects"


def test_a_hostname_of_ones_own_is_rehearsed_too() -> None:
    """Only the placeholder gives way to kubeflow.localhost."""
    assert read(hostname="ml.my-company.com").hostname == "ml.my-company.com"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"email": "me@my-company.com"}, "hostname"),
        ({"hostname": "ml.my-company.com"}, "email"),
    ],
)
def test_placeholders_are_refused_by_name(changed: dict[str, str], named: str) -> None:
    """A real platform wants a hostname and an e-mail of its own."""
    with pytest.raises(SettingError, match=f"^the setting {named} is still the placeholder"):
        read(rehearsal=False, acme_email="me@my-company.com", **changed).refuse_placeholders()


def test_all_that_a_real_platform_wants_is_told_at_once() -> None:
    """Nobody has to come back for each."""
    with pytest.raises(
        SettingError, match=r"3 settings will not do: \(1\) .*hostname.* \(2\) .*email.*\(3\)"
    ):
        read(rehearsal=False).refuse_placeholders()


@pytest.mark.parametrize(
    "hostname",
    [
        "",
        "kubeflow",
        "-a.com",
        "a..b",
        "a_b.com",
        "a.com\nb.com",
        '"a.com',
        "{{ 7 }}.com",
        r"\097.com",
        "https://a.com",
        "a.com:8080",
        "a" * 64 + ".com",
        "*.a.com",
        ".".join(["a" * 60] * 5),
    ],
)
def test_what_is_no_dns_name_is_refused(hostname: str) -> None:
    """A hostname reaches a template, so nothing but a DNS name passes."""
    with pytest.raises(SettingError, match="hostname"):
        read(hostname=hostname)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("ML.My-Company.com.", "ml.my-company.com"),
        ("kubeflow.Bücher.example", "kubeflow.xn--bcher-kva.example"),
    ],
)
def test_a_hostname_is_written_as_dns_has_it(given: str, taken: str) -> None:
    """In lower case, without the last dot, and in IDNA's form."""
    assert read(hostname=given).hostname == taken


def test_the_hostname_is_in_the_zone() -> None:
    """Names that only end alike are not, and then both are told; the placeholder will do in its own zone."""
    assert read(dns_zone="Example.com.").hostname == "kubeflow.example.com"
    assert read(hostname="example.com", dns_zone="example.com").dns_zone == "example.com"
    assert read().dns_zone is None
    for zone in ("xample.com", "example.org"):
        with pytest.raises(SettingError, match=rf"hostname is kubeflow.example.com, which is not in {zone}"):
            read(dns_zone=zone)
    with pytest.raises(SettingError, match="the setting dns_zone is 'com', which is not a DNS name"):
        read(dns_zone="com")


def test_how_long_the_record_is_waited_for() -> None:
    """In minutes, which may be none."""
    assert read().dns_wait_seconds is None
    assert read(dns_wait_minutes=0).dns_wait_seconds == 0
    assert read(dns_wait_minutes=2.5).dns_wait_seconds == 150


@given(st.text())
def test_a_hostname_that_passes_needs_no_quoting(text: str) -> None:
    """Whatever is accepted consists of lower-case letters, digits, hyphens and dots."""
    try:
        accepted = read(hostname=text).hostname
    except SettingError:
        return
    assert set(accepted) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")


@pytest.mark.parametrize("email", ["", "me", "me@", "@b.c", "a b@c.de", "a@b.c\nd: e", "a'@b.cd", "a@b"])
def test_what_is_no_address_is_refused(email: str) -> None:
    """The e-mail reaches Dex's configuration, so what could end its line is refused."""
    with pytest.raises(SettingError, match="email"):
        read(email=email)


def test_whose_password_is_chosen_anew() -> None:
    """True means the owner; others, unless they have a hash, are named."""
    users = ["ada@example.org", {"email": "eve@example.org", "hash": f"$2b$12${'a' * 53}"}]
    assert read(users=users).change_password == ()
    assert read(users=users, change_password=True).change_password == ("user@example.com",)
    both = ["user@example.com", "ada@example.org"]
    assert read(users=users, change_password=both).change_password == tuple(both)
    with pytest.raises(SettingError, match="a hash is changed in the setting users"):
        read(users=users, change_password=["eve@example.org"])


def test_the_owner_is_given_no_hash() -> None:
    """It would be left out, and the password be another; named without one, nothing is lost."""
    assert read(users=["User@example.com"]).users == ()
    with pytest.raises(SettingError, match="who is the owner"):
        read(users=[{"email": "user@example.com", "hash": f"$2b$12${'a' * 53}"}])


@pytest.mark.parametrize("name", ["", "Upper", "-a", "a-", "a" * 64, "a.b", "a b", "ä"])
def test_names_that_digitalocean_would_refuse(name: str) -> None:
    """A cluster's name becomes part of its nodes' names."""
    with pytest.raises(SettingError, match="cannot be the name of a cluster"):
        check_cluster_name(name)


def test_a_version_from_the_command_line_arrives_as_a_number() -> None:
    """``--data kubernetes_version=1.34`` is a float by the time we see it; 1.30 has lost its zero."""
    assert read(kubernetes_version=1.34).kubernetes_version == "1.34"
    with pytest.raises(SettingError, match="quote it"):
        read(kubernetes_version=1.3)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("node_count", 0),
        ("node_count", "3"),
        ("node_count", True),
        ("timeout_minutes", -1),
        ("region", 7),
        ("change_password", "yes"),
        ("rehearsal_pod_ready_seconds", 3),
        ("rehearsal_pod_ready_seconds", [4, 1]),
        ("vpc", "default"),
        ("node_autoscale", True),
        ("node_autoscale", 3),
        ("node_autoscale", [3]),
        ("node_autoscale", [6, 3]),
        ("node_autoscale", [0, 3]),
        ("node_autoscale", [3, 600]),
        ("node_autoscale", [2.5, 6]),
        ("node_autoscale", [4, 6]),  # without node_count
        ("high_availability", "yes"),
        ("auto_upgrade", 1),
        ("surge_upgrade", "on"),
        ("maintenance_window", "sunday"),
        ("maintenance_window", "someday 02:00"),
        ("maintenance_window", "sunday 24:00"),
        ("cluster_tags", "mine"),
        ("cluster_tags", ["not a tag"]),
        ("adopt_cluster", None),
        ("unsupported_kubernetes", None),
        ("rehearsal_speed", 0),
        ("rehearsal_pace", "leisurely"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_its_setting(setting: str, value: object) -> None:
    """One line names the setting and what it was."""
    with pytest.raises(SettingError, match=f"the setting {setting} is"):
        Settings.read(DEFAULTS | {setting: value}, rehearsal=True)


def test_a_misspelt_setting_is_refused_with_what_was_meant() -> None:
    """It would be ignored without a word; a name of quite another kind may be a deploy's own."""
    with pytest.raises(SettingError, match=r"there is no setting node_cuont; did you mean node_count\?"):
        refuse_misspelt(["region", "node_cuont"], DEFAULTS)
    refuse_misspelt(["region", "my_team"], DEFAULTS)


@pytest.mark.parametrize("prune", ["off", "objects", "everything"])
def test_what_to_prune_is_one_of_three_words(prune: str) -> None:
    """Anything else, such as a true, which might mean either, is refused with the choices."""
    assert read(prune=prune).prune == prune
    for wrong in (True, "all", None, ""):
        with pytest.raises(SettingError, match="none of: off, objects, everything"):
            read(prune=wrong)
