"""The whole life of a platform on a real account, once: made, rerun, changed, upgraded, and taken down.

Run by ``make acceptance``, by whoever is ready to pay for about an hour of it; it names its price first, and
ends with a teardown whatever happens: what fails, Ctrl-C, a terminal that is closed, or a bill that would
exceed the cap.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tideflow.clients.digitalocean import DigitalOcean
from tideflow.connectors.inventory import PLATFORM
from tideflow.connectors.settings import TOKEN
from tideflow.errors import SettingError, TideflowError
from tideflow.operations import prices
from tideflow.operations.versions import minors
from tideflow.vendoring import pins
from tideflow.vendoring.tree import vendored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_CAP, _ZONE = "TIDEFLOW_ACCEPTANCE_DOLLARS", "TIDEFLOW_ACCEPTANCE_ZONE"
_PROGRAMS = Path(sys.executable).parent
_HOUR = 3600.0  # seconds
_HOURS_A_MONTH = 730.0
_LONGEST = 3 * _HOUR  # seconds, whatever it costs: a step that hangs is no reason to pay on
_SIZE, _OTHER_SIZE = "s-4vcpu-8gb", "s-8vcpu-16gb"
_MOST_NODES = 5
_LOOK = 0.2  # seconds between two looks at a run
_STOPPING = 180.0  # seconds for a run to finish what it is at, once it is asked to stop
_SETTLING = 20.0  # seconds until a cluster that was asked for by a run that was stopped is listed
_TEARDOWNS = (30.0, 120.0, None)  # seconds after each that did not leave nothing
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


def steps(zone: str, old: str, new: str) -> list[Step]:
    """Return the steps in their order, those about DNS only if there is a ``zone``.

    They begin with one minor of Kubernetes and upgrade to the other, unless it is the same.
    """
    first, then = (f'kubernetes_version="{version}"' for version in (old, new))
    larger = (then, f"node_size={_OTHER_SIZE}", "replace_nodes=true")
    record = ("dns",) if zone else ()
    named = (f"dns_zone={zone}",) if zone else ("dns_wait_minutes=0",)
    scaled = (first, "node_count=5", "node_autoscale=[3,5]")
    return [
        Step("what would be made", ("all",), (first, *named), ("would create the cluster",), dry=True),
        Step("made", ("all",), (first, *named), ("pods are running",)),
        Step("rerun", ("all",), (first, *named)),
        Step("5 nodes", ("cluster",), (first, "node_count=5"), ("3 → 5",)),
        Step("autoscaling", ("cluster",), scaled, ("node_autoscale",)),
        Step("3 nodes", ("cluster",), (first, "node_autoscale=false", "scale_down=true")),
        *([Step("upgrade", ("cluster",), (then,), (new,))] if old != new else []),
        Step("larger nodes", ("cluster",), larger, (_OTHER_SIZE,)),
        Step("all as it was", ("kubeflow_base", "ingress", "auth", *record, "status"), (*larger, *named)),
    ]


def chosen(offered: Iterable[str], supported: Collection[str]) -> tuple[str, str]:
    """Return the newest two minors in a row that are offered and supported; the newest one twice if none are.

    Raises ``SettingError`` if there is none at all.
    """
    known = [minor for minor in minors(offered) if minor in supported]
    for new, old in pairwise(known):
        if int(new.partition(".")[2]) == int(old.partition(".")[2]) + 1:
            return old, new
    if not known:
        raise SettingError(f"DigitalOcean offers none of the minors {', '.join(sorted(supported))}")
    return known[0], known[0]


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
    _say(f"at most {run.left / 60:.0f} minutes, for ${cap} at ${_PER_HOUR:.2f} an hour; then a teardown")
    if not run.does(_NOTHING):
        _say(f"{platform} is there already, or cannot be asked for: nothing was made", red=True)
        return 2
    try:
        versions = _versions(token)
    except TideflowError as error:
        _say(f"{error}: nothing was made", red=True)
        return 2
    well = down = False
    run.heed_signals()
    try:
        well = all(run.does(step) for step in steps(zone, *versions))
    finally:
        down = run.ends()
    return 0 if well and down else 1


_NOTHING = Step("nothing there", ("teardown",), expected=("there is nothing of",), dry=True, free=True)


def _versions(token: str) -> tuple[str, str]:
    found = vendored(Path("vendored/kubeflow"))
    release = pins.read(Path("vendored/kubeflow.toml")).release(found.release if found else None)
    offers = DigitalOcean(token).options().versions
    return chosen((offer.slug for offer in offers), release.kubernetes)


def _say(text: str, *, red: bool = False) -> None:
    """Tell it, if there is a terminal still: the teardown does not depend on that."""
    with contextlib.suppress(OSError):
        click.secho(text, fg="red" if red else None)


class _Run:
    def __init__(self, platform: str, zone: str, *, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._own = [
            f"hostname={platform}.{zone or 'example.org'}",
            "email=acceptance@example.org",
            "tls=self-signed",
        ]
        self._environment = {"TIDEFLOW_PASSWORD": secrets.token_urlsafe(16), **os.environ}
        self._down = Step("teardown", ("teardown",), (f"confirm={platform}",), free=True)
        self._stopped = self._cut = False

    @property
    def left(self) -> float:
        """Seconds until the cap is reached."""
        return self._ends - time.monotonic()

    def heed_signals(self) -> None:
        """Have Ctrl-C, and whatever else ends programs, mean that it goes on with the teardown."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
                signal.signal(number, self._stop)

    def _stop(self, *_: object) -> None:
        _say("stopping: what is under way is waited for, and then there is a teardown", red=True)
        self._stopped = True

    def ends(self) -> bool:
        """Take all down, and look whether nothing is left; what fails is tried again."""
        if self._cut:
            time.sleep(_SETTLING)
        for pause in _TEARDOWNS:
            if self.does(self._down) and self.does(_NOTHING):
                return True
            if pause is not None:
                _say(f"again in {pause:.0f} s", red=True)
                time.sleep(pause)
        _say("something may be left that is billed: run the teardown again", red=True)
        return False

    def does(self, step: Step) -> bool:
        """Run a step, and say how it went."""
        started = time.monotonic()
        left = _HOUR if step.free else self.left
        if left <= 0 or (self._stopped and not step.free):
            _say(f"{step.name}: not tried, {'stopped' if self._stopped else 'the cap is reached'}", red=True)
            return False
        data = [argument for value in (*self._own, *step.data) for argument in ("--data", value)]
        deploys = [f"deploys/{name}.py" for name in step.deploys]
        how = "--dry" if step.dry else "-y"
        command = [str(_PROGRAMS / "pyinfra"), how, *data, "inventory.py", *deploys]
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            # In a session of its own: no Ctrl-C of the terminal ends it, nor does the terminal's end.
            process = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            cut = self._follow(process, started + left, heed=not step.free)
            output.seek(0)
            printed = output.read()
        if cut:
            _say(f"{step.name}: {cut}", red=True)
            return False
        missing = [text for text in step.expected if text not in printed]
        changed = step.name == "rerun" and re.search(r"\] Success", printed)
        well = process.returncode == 0 and not missing and not changed
        took = time.monotonic() - started
        _say(f"{step.name}: {'well' if well else 'FAILED'}, {took:.0f} s", red=not well)
        if not well:
            _say("\n".join(filter(None, (printed, f"missing: {missing}" if missing else ""))), red=True)
        return well

    def _follow(self, process: subprocess.Popen[bytes], ends: float, *, heed: bool) -> str:
        """Wait for a run, and return why it was stopped, if it was; it has time to finish what it is at."""
        while process.poll() is None:
            stopped = heed and self._stopped
            if stopped or time.monotonic() > ends:
                self._cut = True
                _interrupt(process)
                return "stopped" if stopped else "it took until the time was over"
            time.sleep(_LOOK)
        return ""


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOPPING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
