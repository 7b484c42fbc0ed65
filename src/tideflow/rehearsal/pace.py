"""How fast a rehearsal is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Seconds (from, to) until a pod is ready, and what DigitalOcean's own times are divided by."""

    pod_ready_seconds: tuple[float, float] = (1.0, 4.0)
    speed: float = 60.0
