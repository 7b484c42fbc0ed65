"""A platform as a pyinfra host: what the three connectors have in common.

The connector holds the clients, so that credentials are in one place only, and remembers what was read until
something is changed. Imports of the clients wait until a client is needed: pyinfra loads every connector at
each start.
"""

from __future__ import annotations

import gc
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click
import gevent
from pyinfra import logger
from pyinfra.api.exceptions import ConnectError, InventoryError, PyinfraError
from pyinfra.connectors.local import LocalConnector
from pyinfra.connectors.util import CommandOutput, OutputLine
from pyinfra_cli.exceptions import CliError
from typing_extensions import override

from tideflow.connectors import hiding
from tideflow.connectors.defects import defect
from tideflow.connectors.interrupts import Interrupt
from tideflow.connectors.settings import Settings, refuse_misspelt
from tideflow.errors import TideflowError
from tideflow.files import private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyinfra.api.host import Host
    from pyinfra.api.state import State

    from tideflow.clients.digitalocean import DigitalOcean
    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.clients.provided import Cluster
    from tideflow.engine.manifests import Manifest
    from tideflow.engine.plan import Plan

CLUSTER = "the cluster"
"""What ``deploys/cluster.py`` makes, as a promise to later steps."""

_TEARDOWN = "teardown.py"


class RefusedError(CliError, PyinfraError):  # type: ignore[misc] # pyinfra_cli has no types
    """Ends a run whose reason has been printed already, on one line."""

    @override
    def show(self, file: Any = None) -> None:
        """Print nothing: ``refuse`` has."""


# A refusal may end a greenlet; its traceback would tell nobody anything.
gevent.get_hub().NOT_ERROR = (*gevent.get_hub().NOT_ERROR, RefusedError)

# pyinfra loads the connectors before it tells of the settings that it has read.
logger.addFilter(hiding.hide)


def refuse(host: Host, error: TideflowError) -> RefusedError:
    """Print why the run cannot go on, and return what to raise."""
    host.log_styled(str(error), fg="red", log_func=logger.error)
    return RefusedError(str(error))


def given(name: str | None, form: str) -> str:
    """Return the name after the slash of a host, which pyinfra leaves out where there is none."""
    if not name:
        raise InventoryError(f"the inventory names no platform: write {form}")
    return name


@dataclass(frozen=True)
class Question:
    """What a fact's ``command`` returns: a function that asks the platform and returns JSON."""

    ask: Callable[[PlatformConnector], Any]

    def __str__(self) -> str:
        """Name it in ``--debug`` output."""
        return f"{self.ask!r}"


class PlatformConnector(LocalConnector):
    """One cluster and all that runs on it. Shell commands and files are this machine's."""

    handles_execution = True
    rehearsal: ClassVar[bool] = False

    def __init__(self, state: State, host: Host) -> None:
        super().__init__(state, host)
        # Asked here, since deploy files run in greenlets, which have no context of click's.
        context = click.get_current_context(silent=True)
        asked = {} if context is None else context.params
        self.dry = bool(asked.get("dry"))
        # Nobody has to invent a hostname for a platform to end.
        self.ends = {Path(step).name for step in asked.get("operations") or ()} == {_TEARDOWN}
        self.platform: str = host.name.partition("/")[2]
        self.folder = Path(state.cwd or ".") / ".tideflow" / self.platform
        self.promised: set[str] = set()
        self.sets: dict[str, Callable[[], Sequence[Manifest]]] = {}
        self.foretold: dict[str, Plan] = {}
        self.closing: list[str] = []
        self._settings: Settings | None = None
        self._kubernetes: Kubernetes | None = None

    @property
    def settings(self) -> Settings:
        """The platform's settings, checked; a step that asks for none needs none."""
        if self._settings is None:
            inventory = self.host.state.inventory
            refuse_misspelt(inventory.override_data, inventory.data)
            read = Settings.read(self.host.data, rehearsal=self.rehearsal)
            if not (self.rehearsal or self.ends):
                read.refuse_placeholders()
            self._settings = read
        return self._settings

    @property
    def digitalocean(self) -> DigitalOcean | None:
        """The API that made the cluster, or None where the cluster is somebody else's business."""
        return None

    @property
    def nameserver(self) -> tuple[str, int] | None:
        """The address and port that DNS is asked at; None for the servers that a zone is delegated to."""
        return None

    def cluster(self) -> Cluster | None:
        """Return the cluster as DigitalOcean describes it, or None while it does not exist."""
        return None

    def know(self, cluster: Cluster) -> None:
        """Take a cluster that was just made for the platform's; lists may be behind."""

    @property
    def kubeconfig(self) -> Path:
        """The file that kubectl is told to use."""
        return self.folder / "kubeconfig"

    def kubernetes(self) -> Kubernetes | None:
        """Return a client of the cluster, or None while it does not exist or does not run yet."""
        if self._kubernetes is None:
            self._kubernetes = self._open()
        return self._kubernetes

    def _open(self) -> Kubernetes | None:
        raise NotImplementedError

    @staticmethod
    def _client_of(
        path: Path, *, context: str | None = None, renew: Callable[[], None] | None = None
    ) -> Kubernetes:
        from tideflow.clients.kubernetes import Kubernetes  # noqa: PLC0415 - slow to import

        return Kubernetes.from_kubeconfig(path, context=context, renew=renew)

    def check(self) -> None:
        """Raise ``TideflowError`` for a name or settings that cannot be; before anything is made of them."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Reach the platform; raises ``TideflowError``."""
        raise NotImplementedError

    def forget(self) -> None:
        """Read everything again when it is asked for next; to be called after a change."""

    def fail(self, why: str) -> None:
        """Have pyinfra's run end with status 1, and go on; ``why`` is said at its end."""
        self.host.state.failed_hosts.add(self.host)
        self.closing.append(f"[{self.host.name}] {why}")

    @override
    def connect(self) -> None:
        """Reach the platform, or end with one line that says why not."""
        Interrupt.install()
        # What is read are trees of JSON, tens of thousands of objects, and looking for circles in them after
        # every 700 new ones is in vain: it was a fifth of a run's CPU time.
        gc.set_threshold(50_000)
        try:
            self.check()
            private_folder(self.folder)  # also where somebody has made it for everybody to read
            self.prepare()
        except TideflowError as error:
            raise ConnectError(str(error)) from error
        except OSError as error:
            raise ConnectError(
                f"{self.folder} is not usable: {error.strerror or error}. Repair it, or remove the folder"
            ) from error
        except Exception as error:  # noqa: BLE001 - pyinfra would print, and keep in a file, whatever it says
            raise ConnectError(str(defect(error))) from None

    @override
    def disconnect(self) -> None:
        """Say what was left to say at the end of the run."""
        if self._kubernetes is not None:
            self._kubernetes.close()
        for line in self.closing:
            logger.info(line)

    @override
    def run_shell_command(
        self, command: Any, print_output: bool = False, print_input: bool = False, **arguments: Any
    ) -> tuple[bool, CommandOutput]:
        """Answer a fact's ``Question``, or run a shell command on this machine."""
        if not isinstance(command, Question):
            return super().run_shell_command(command, print_output, print_input, **arguments)
        try:
            answer = command.ask(self)
        except TideflowError as error:
            raise refuse(self.host, error) from error
        lines = [] if answer is None else [OutputLine("stdout", json.dumps(answer))]
        return True, CommandOutput(lines)
