"""How fast a rehearsal is."""

from __future__ import annotations

from dataclasses import dataclass

PACES = ("quick", "realistic")

_PULLS = (20.0, 90.0)
"""Seconds pods take in the realistic pace, as if their images were pulled: about a quarter of what a first
install on new nodes takes."""


@dataclass(frozen=True)
class Pace:
    """Seconds (from, to) until a pod is ready, and what DigitalOcean's own times are divided by.

    In a ``realistic`` one pods take as long as if their images were pulled, databases come up last, and what
    needs them crashes meanwhile.
    """

    pod_ready_seconds: tuple[float, float] = (1.0, 4.0)
    speed: float = 60.0
    realistic: bool = False

    @classmethod
    def named(cls, name: str, *, pod_ready_seconds: tuple[float, float], speed: float) -> Pace:
        """Return the pace of that name; how long pods take is for others than the realistic one."""
        realistic = name == "realistic"
        return cls(_PULLS if realistic else pod_ready_seconds, speed, realistic)
