"""What is set of the load balancer, as annotations."""

from __future__ import annotations

from typing import Any

import pytest

from tideflow.connectors.balancing import ANNOTATION, Balancing
from tideflow.errors import SettingError

UNSET: dict[str, Any] = {
    "load_balancer_size": None,
    "load_balancer_sources": None,
    "load_balancer_proxy_protocol": False,
    "load_balancer_idle_seconds": None,
}


def read(**given: Any) -> Balancing:
    """Return the settings, of which those not given are not set."""
    return Balancing.read(
        UNSET | {f"load_balancer_{name}": value for name, value in given.items()}, "k.example.org"
    )


def test_nothing_set_means_nothing() -> None:
    """Not even what would be DigitalOcean's own default."""
    assert read().annotations() == {}


def test_each_setting_has_its_annotation() -> None:
    """The proxy protocol has two: without the hostname the cluster could not reach itself.

    Only a regional load balancer has what is set; but for the sources, which any has.
    """
    assert list(read(sources=["192.0.2.0/24"]).annotations()) == [f"{ANNOTATION}allow-rules"]
    found = read(size=2, sources=["192.0.2.0/24", "198.51.100.7"], proxy_protocol=True, idle_seconds=600)
    assert {name.removeprefix(ANNOTATION): value for name, value in found.annotations().items()} == {
        "type": "REGIONAL",
        "size-unit": "2",
        "allow-rules": "cidr:192.0.2.0/24,cidr:198.51.100.7/32",
        "hostname": "k.example.org",
        "enable-proxy-protocol": "true",
        "http-idle-timeout-seconds": "600",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 0),
        ("size", 101),
        ("size", "2"),
        ("size", 1.5),
        ("idle_seconds", 29),
        ("idle_seconds", 601),
        ("proxy_protocol", None),
        ("proxy_protocol", "yes"),
        ("sources", []),
        ("sources", "192.0.2.0/24"),
        ("sources", ["192.0.2.1/24"]),
        ("sources", ["example.org"]),
        ("sources", ["192.0.2.0/24", 7]),
        ("sources", ["2001:db8::/32"]),
    ],
)
def test_what_digitalocean_would_refuse_is_refused(name: str, value: Any) -> None:
    """With the setting's name and its value."""
    with pytest.raises(SettingError, match=f"load_balancer_{name}") as caught:
        read(**{name: value})
    assert repr(value) in str(caught.value)
