"""What things cost at DigitalOcean, for estimates: the one place where prices are.

US dollars a month, without taxes, as in its price list of that date. Whoever takes down a newer one changes
the date with it: it is in what people read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tideflow.clients.provided import Size
from tideflow.operations.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

AS_OF = "July 2022"
"""When the prices were taken down."""

HIGH_AVAILABILITY = 40.0
LOAD_BALANCER = 12.0
VOLUME_GIB = 0.10
SNAPSHOT_GIB = 0.06

_SIZES = (
    # slug, CPUs, GiB of memory, price
    ("s-1vcpu-2gb", 1, 2, 12.0),
    ("s-2vcpu-2gb", 2, 2, 18.0),
    ("s-2vcpu-4gb", 2, 4, 24.0),
    ("s-4vcpu-8gb", 4, 8, 48.0),
    ("s-8vcpu-16gb", 8, 16, 96.0),
    ("c-2", 2, 4, 42.0),
    ("c-4", 4, 8, 84.0),
    ("c-8", 8, 16, 168.0),
    ("g-2vcpu-8gb", 2, 8, 63.0),
    ("g-4vcpu-16gb", 4, 16, 126.0),
    ("g-8vcpu-32gb", 8, 32, 252.0),
    ("m-2vcpu-16gb", 2, 16, 84.0),
    ("m-4vcpu-32gb", 4, 32, 168.0),
)
NODES = {slug: price for slug, _, _, price in _SIZES}
"""The price of a node, by the slug of its size."""

SIZES = {slug: Size(slug, cpus, gib * 1024, ()) for slug, cpus, gib, _ in _SIZES}
"""The sizes themselves, for where the API does not tell; in which regions they are is not known here."""


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What is paid for: nodes, at most ``most_nodes`` if they are scaled, volumes, and the control plane.

    A load balancer of more than one node costs as much as so many.
    """

    size: str
    nodes: int
    most_nodes: int
    volumes: int
    volumes_gib: float
    high_availability: bool
    balancer_nodes: int = 1

    def lines(self) -> Iterator[str]:
        """Yield the estimate for people, the sum first."""
        node = NODES.get(self.size)
        if node is None:
            yield f"what it costs is not known: the prices of {AS_OF} have no {self.size}"
            return
        parts = [
            (self.nodes * node, f"{counted(self.nodes, 'node')} of {self.size}, ${node:g} each"),
            (self.balancer_nodes * LOAD_BALANCER, self._balancer()),
        ]
        if self.volumes:
            parts.append(
                (
                    self.volumes_gib * VOLUME_GIB,
                    f"{counted(self.volumes, 'volume')}, {self.volumes_gib:g} GiB in all",
                )
            )
        if self.high_availability:
            parts.append((HIGH_AVAILABILITY, "a highly available control plane"))
        total = sum(price for price, _ in parts)
        scaled = total + (self.most_nodes - self.nodes) * node
        up_to = f", up to ${scaled:.0f} with {self.most_nodes} nodes" if scaled > total else ""
        yield f"it costs about ${total:.0f} a month{up_to} (an estimate, by DigitalOcean's prices of {AS_OF})"
        for price, what in parts:
            yield f"    ${price:<5.0f} {what}"

    def _balancer(self) -> str:
        more = f" of {self.balancer_nodes} nodes, ${LOAD_BALANCER:g} each" if self.balancer_nodes > 1 else ""
        return f"a load balancer{more}"
