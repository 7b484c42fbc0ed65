"""The settings of the load balancer, and the annotations by which DigitalOcean learns of them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tideflow.connectors import reading
from tideflow.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.connectors.reading import Data

ANNOTATION = "service.beta.kubernetes.io/do-loadbalancer-"
"""What the names of all these annotations begin with."""

MOST_UNITS = 100
_IDLE = (30, 600)  # seconds, the least and the most


@dataclass(frozen=True, kw_only=True)
class Balancing:
    """What is set of the load balancer; None, or no proxy protocol, leaves what is there.

    ``hostname`` is the platform's, which stands for the load balancer's address inside of the cluster.
    """

    size: int | None
    sources: tuple[str, ...] | None
    proxy_protocol: bool
    idle_seconds: int | None
    hostname: str

    @classmethod
    def read(cls, data: Data, hostname: str) -> Self:
        """Return the settings; raises ``SettingError`` for the first unusable one."""
        least, most = _IDLE

        def units(data: Data, name: str) -> int:
            return reading.whole(data, name, least=1, most=MOST_UNITS)

        def seconds(data: Data, name: str) -> int:
            return reading.whole(data, name, least=least, most=most)

        return cls(
            size=reading.if_set(data, "load_balancer_size", units),
            sources=reading.if_set(data, "load_balancer_sources", _networks),
            proxy_protocol=reading.flag(data, "load_balancer_proxy_protocol"),
            idle_seconds=reading.if_set(data, "load_balancer_idle_seconds", seconds),
            hostname=hostname,
        )

    @property
    def regional(self) -> bool:
        """Whether something is set that a network load balancer has not: it passes packets on as they are.

        Since Kubernetes 1.33 a Service that says nothing gets one of these (DOKS' changelog, 1.33.1-do.0).
        """
        return self.size is not None or self.proxy_protocol or self.idle_seconds is not None

    def annotations(self, *, regional: bool = False) -> dict[str, str]:
        """Return the annotations that a Service is to have for this; those of what is not set are left out.

        A ``regional`` load balancer is also what a Service needs whose ports are not its pods' own.
        With the proxy protocol, pods that reach for the load balancer's address would get to the controller
        directly, without the header that it expects then. With a hostname in the place of the address they
        go out and in again.
        """
        told = {f"{ANNOTATION}{name}": value for name, value in self._settings()}
        return {f"{ANNOTATION}type": "REGIONAL", **told} if regional or self.regional else told

    def _settings(self) -> Iterator[tuple[str, str]]:
        if self.size is not None:
            yield "size-unit", str(self.size)
        if self.sources is not None:
            yield "allow-rules", ",".join(f"cidr:{source}" for source in self.sources)
        if self.proxy_protocol:
            yield "hostname", self.hostname
            yield "enable-proxy-protocol", "true"
        if self.idle_seconds is not None:
            yield "http-idle-timeout-seconds", str(self.idle_seconds)


def _networks(data: Data, name: str) -> tuple[str, ...]:
    """Return networks, such as ``192.0.2.0/24``; one address is a network too."""
    value = data.get(name)
    try:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError  # noqa: TRY301 - the same error as for what is in it
        found = [str(ipaddress.IPv4Network(each)) for each in value if isinstance(each, str)]
        if len(found) != len(value):
            raise ValueError  # noqa: TRY301 - the same
    except ValueError:
        raise SettingError(
            f"the setting {name} is {value!r}, not a list of IPv4 networks",
            hint='it is like ["192.0.2.0/24", "198.51.100.7/32"]',
        ) from None
    return tuple(dict.fromkeys(found))
