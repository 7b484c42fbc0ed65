"""The whole life of a platform on a real account, once: made, rerun, changed, upgraded, and taken down.

Run by ``make acceptance``, by whoever is ready to pay for about an hour of it; it names its price first, and
ends with a teardown whatever happens: what fails, Ctrl-C, or a bill that would exceed the cap.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from tideflow.connectors.inventory import PLATFORM
from tideflow.connectors.settings import TOKEN
from tideflow.operations import prices

_CAP, _ZONE = "TIDEFLOW_ACCEPTANCE_DOLLARS", "TIDEFLOW_ACCEPTANCE_ZONE"
_PROGRAMS = Path(sys.executable).parent
_HOUR = 3600.0  # seconds
_HOURS_A_MONTH = 730.0
_LONGEST = 3 * _HOUR  # seconds, whatever it costs: a step that hangs is no reason to pay on
_SIZE, _OTHER_SIZE = "s-4vcpu-8gb", "s-8vcpu-16gb"
_MOST_NODES = 5
_OLD, _NEW = "1.33", "1.34"
_PER_HOUR = (
    # The dearest moment: five nodes, and as many of the larger size beside them while they are replaced.
    _MOST_NODES * (prices.NODES[_SIZE] + prices.NODES[_OTHER_SIZE])
    + prices.LOAD_BALANCER
    + 100 * prices.VOLUME_GIB
) / _HOURS_A_MONTH


@dataclass(frozen=True)
class Step:
    """One run of pyinfra: deploy files, settings, and what has to be in what it prints.

    What is ``free`` to do is done even if the cap is reached.
    """

    name: str
    deploys: tuple[str, ...]
    data: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    dry: bool = False
    free: bool = False


def steps(zone: str) -> list[Step]:
    """Return the steps in their order, those about DNS only if there is a ``zone``."""
    old, new = (f'kubernetes_version="{version}"' for version in (_OLD, _NEW))
    larger = (new, f"node_size={_OTHER_SIZE}", "replace_nodes=true")
    record = ("dns",) if zone else ()
    named = (f"dns_zone={zone}",) if zone else ("dns_wait_minutes=0", "tls=self-signed")
    return [
        Step("what would be made", ("all",), (old, *named), ("would create the cluster",), dry=True),
        Step("made", ("all",), (old, *named), ("pods are running",)),
        Step("rerun", ("all",), (old, *named)),
        Step("5 nodes", ("cluster",), (old, "node_count=5"), ("3 → 5",)),
        Step("autoscaling", ("cluster",), (old, "node_count=5", "node_autoscale=[3,5]"), ("node_autoscale",)),
        Step("3 nodes", ("cluster",), (old, "node_autoscale=false", "scale_down=true")),
        Step("upgrade", ("cluster",), (new,), (_NEW,)),
        Step("larger nodes", ("cluster",), larger, (_OTHER_SIZE,)),
        Step("all as it was", ("kubeflow_base", "ingress", "auth", *record, "status"), (*larger, *named)),
    ]


def main() -> int:
    """Run all steps, then the teardown; return 0 if all went well."""
    platform, token, cap = (os.environ.get(name, "") for name in (PLATFORM, TOKEN, _CAP))
    if not platform or not token or not cap.replace(".", "", 1).isdigit():
        click.echo(
            f"""This makes a cluster that costs money. Set
  {PLATFORM} to a name that no cluster of the account has yet,
  {TOKEN}, and
  {_CAP} to the most it may cost: it takes an hour or two, and at most ${_PER_HOUR:.2f} each.
  {_ZONE} may name a domain of the account, for the hostname's record.""",
            err=True,
        )
        return 2
    zone = os.environ.get(_ZONE, "")
    run = _Run(platform, zone, seconds=min(_LONGEST, float(cap) / _PER_HOUR * _HOUR))
    click.echo(
        f"at most {run.left / 60:.0f} minutes, for ${cap} at ${_PER_HOUR:.2f} an hour; then a teardown"
    )
    nothing = Step("nothing there", ("teardown",), expected=("there is nothing of",), dry=True, free=True)
    if not run.does(nothing):
        click.echo(f"{platform} is there already, or cannot be asked for: nothing was made", err=True)
        return 2
    try:
        well = all(run.does(step) for step in steps(zone))
    except KeyboardInterrupt:
        well = False
    finally:
        down = run.does(Step("teardown", ("teardown",), (f"confirm={platform}",), free=True))
        gone = run.does(nothing)
    return 0 if well and down and gone else 1


class _Run:
    def __init__(self, platform: str, zone: str, *, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._own = [f"hostname={platform}.{zone or 'example.org'}", "email=acceptance@example.org"]
        self._environment = {"TIDEFLOW_PASSWORD": secrets.token_urlsafe(16), **os.environ}

    @property
    def left(self) -> float:
        """Seconds until the cap is reached."""
        return self._ends - time.monotonic()

    def does(self, step: Step) -> bool:
        """Run a step, and say how it went."""
        started = time.monotonic()
        left = _HOUR if step.free else self.left
        if left <= 0:
            click.secho(f"{step.name}: not tried, the cap is reached", fg="red")
            return False
        data = [argument for value in (*self._own, *step.data) for argument in ("--data", value)]
        deploys = [f"deploys/{name}.py" for name in step.deploys]
        how = "--dry" if step.dry else "-y"
        command = [str(_PROGRAMS / "pyinfra"), how, *data, "inventory.py", *deploys]
        try:
            done = subprocess.run(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=left,
                check=False,
            )
        except subprocess.TimeoutExpired:
            click.secho(f"{step.name}: it took until the cap was reached", fg="red")
            return False
        printed = done.stdout + done.stderr
        missing = [text for text in step.expected if text not in printed]
        changed = step.name == "rerun" and re.search(r"\] Success", printed)
        well = done.returncode == 0 and not missing and not changed
        took = time.monotonic() - started
        click.secho(f"{step.name}: {'well' if well else 'FAILED'}, {took:.0f} s", fg=None if well else "red")
        if not well:
            click.echo(printed, err=True)
            click.echo(f"missing: {missing}" if missing else "", err=True)
        return well


if __name__ == "__main__":
    sys.exit(main())
