"""One cluster of a rehearsal: a real Kubernetes control plane in the background, in a folder of its own."""

import contextlib
import http.client
import json
import os
import re
import shutil
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from tideflow.errors import RehearsalError
from tideflow.files import locked, private_folder, write_private
from tideflow.rehearsal.addresses import free_port, make_socket_folder, port_is_free, socket_folder
from tideflow.rehearsal.components import Launch, Settings, launches
from tideflow.rehearsal.processes import Background

NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "stand-ins")
"""The components, in the order in which they are started."""

AUTH_PROXY = "oauth2-proxy"
"""The process that the stand-ins start once its pods are ready, and that ends with them."""

_PATIENCE = 90.0  # seconds; it takes 5, but machines may be busy
_INTERVAL = 0.1  # seconds
_LONGEST_MESSAGE = 300  # characters of a log in an error message
_ACCOUNT = (
    "/api/v1/namespaces/default/serviceaccounts/default"  # made by the controller manager; pods need it
)
_MOST_CPUS = 4  # more threads are of no use to one cluster, and several may run


@dataclass(frozen=True)
class Component:
    """One process of a control plane; ``pid`` is None when it does not run."""

    name: str
    pid: int | None

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.pid is not None


@dataclass
class _State:
    """What later starts have to know of the last one."""

    port: int
    sockets: str
    fingerprints: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path) -> Self | None:
        """Return what the file holds; None if there is none, or it is damaged: that costs a restart."""
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            return cls(int(found["port"]), str(found["sockets"]), dict(found["fingerprints"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None


class ControlPlane:
    """One cluster's control plane; all it has is in ``folder``, but for sockets: their paths must be short.

    The processes outlive the object and the program; another object of the same folder is the same cluster.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def start(
        self,
        *,
        binaries: Path,
        token_review_url: str,
        audit_log: Path,
        pod_ready_seconds: tuple[float, float] = (1.0, 4.0),
        realistic: bool = False,
        stand_ins: bool = True,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Start what does not run, or was started with something else than now; return when all is ready.

        ``binaries`` is the folder of the programs. Tokens are checked by asking ``token_review_url``; each
        request of a user whom its answer puts into the group ``tideflow:platform`` is a line in
        ``audit_log``. Pods get ready ``pod_ready_seconds`` (from, to) after they are scheduled; in a
        ``realistic`` cluster databases are later, and what needs them crashes until then.

        The data is kept, and so is the port unless it is somebody else's by now: read `endpoint` again.
        Raises `RehearsalError` when a component fails; what this call started is stopped then.
        """
        private_folder(self.folder)
        with self._locked(progress):
            state = self._state or _State(port=free_port(), sockets=str(socket_folder(self.folder)))
            # A server that was killed holds its port until the last of its threads is gone.
            running = self._process("kube-apiserver").running
            if not running and not port_is_free(state.port, patience=2.0):
                state.port = free_port()
            if not Path(state.sockets).parent.is_dir():  # /run/user/<id> comes and goes
                state.sockets = str(socket_folder(self.folder))
            settings = Settings(
                folder=self.folder,
                sockets=make_socket_folder(Path(state.sockets)),
                port=state.port,
                binaries=binaries.absolute(),
                token_review_url=token_review_url,
                audit_log=audit_log.absolute(),
                pod_ready_seconds=pod_ready_seconds,
                realistic=realistic,
            )
            how = launches(settings)
            wanted = [name for name in NAMES if stand_ins or name != "stand-ins"]
            due = [name for name in wanted if not self._is_current(how[name], state)]
            self._stop([name for name in NAMES if name in due or name not in wanted])
            state.fingerprints = {name: how[name].fingerprint for name in wanted}
            write_private(self._state_file, json.dumps(asdict(state)))
            try:
                self._start(due, wanted, how, progress)
            except BaseException:
                self._stop(due, timeout=1.0)
                raise

    def stop(self) -> None:
        """Stop all components and wait until they are gone; the data stays. Fine if nothing runs."""
        if self.folder.is_dir():
            with self._locked():
                self._stop(NAMES)
                state = self._state
                if state is not None and Path(state.sockets).name == socket_folder(self.folder).name:
                    shutil.rmtree(state.sockets, ignore_errors=True)  # it is made anew by the next start

    def delete(self) -> None:
        """Stop all components and remove the cluster with all its data. Fine if there is none."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def components(self) -> list[Component]:
        """Return the components that the cluster was last started with, running or not, and all that run."""
        started: Collection[str] = state.fingerprints if (state := self._state) else ()
        found = [Component(name, self._process(name).pid) for name in NAMES]
        return [component for component in found if component.running or component.name in started]

    @property
    def endpoint(self) -> str:
        """The URL of the API server. Raises `RehearsalError` if it has never been started."""
        if (state := self._state) is None:
            raise RehearsalError(
                f"the control plane in {self.folder} has never been started",
                hint="start it with: tideflow rehearsal start",
            )
        return f"https://127.0.0.1:{state.port}"

    @property
    def certificate_authority(self) -> str:
        """The certificate, PEM, to trust when speaking to `endpoint`."""
        return (self.folder / "pki" / "ca.crt").read_text(encoding="utf-8")

    @property
    def admin_kubeconfig(self) -> Path:
        """The kubeconfig (0600) of the rehearsal itself, whose requests are not in the audit log."""
        return self.folder / "admin.kubeconfig"

    @property
    def sockets(self) -> Path:
        """The folder (0700) of etcd's sockets, and of ``egress.sock``, where calls into the cluster go."""
        return Path(state.sockets) if (state := self._state) else socket_folder(self.folder)

    @property
    def _state_file(self) -> Path:
        return self.folder / "state.json"

    @property
    def _state(self) -> _State | None:
        return _State.load(self._state_file)

    @contextlib.contextmanager
    def _locked(self, progress: Callable[[str], None] = lambda _: None) -> Iterator[None]:
        """Let nobody else start or stop the cluster; say so in our words if its folder cannot be used."""
        busy = "the control plane is being started or stopped by somebody else; waiting"
        try:
            with locked(self.folder / "lock", lambda: progress(busy)):
                yield
        except OSError as error:
            raise RehearsalError(
                f"the folder {self.folder} of a control plane cannot be used: {error.strerror}",
                hint="make it writable, with some space left, and try again",
            ) from error

    def _process(self, name: str) -> Background:
        return Background(self.folder, name)

    def _is_current(self, launch: Launch, state: _State) -> bool:
        """Return whether the component runs, as it would be started now, and can be reached."""
        if launch.name == "etcd" and not (launch.folder / "localhost:2379").is_socket():
            return False  # a cleaner of temporary folders has been here
        same = state.fingerprints.get(launch.name) == launch.fingerprint
        return same and self._process(launch.name).running

    def _start(
        self,
        due: Collection[str],
        wanted: Sequence[str],
        how: Mapping[str, Launch],
        progress: Callable[[str], None],
    ) -> None:
        """Start the components that are due: etcd and the API server, then, once it is ready, all others."""
        if due:
            progress(f"starting {', '.join(due)}")

        def start(names: Sequence[str]) -> None:
            for launch in (how[name] for name in names if name in due):
                self._process(launch.name).start(
                    launch.command,
                    cwd=launch.folder,
                    env={"GOMAXPROCS": str(min(_MOST_CPUS, os.cpu_count() or 1))},
                )

        servers, clients = NAMES[:2], NAMES[2:]
        start(servers)
        self._wait_for("the API server", lambda: self._answers("/readyz"), servers)
        ready_file = self.folder / "standins.ready"
        if "stand-ins" in due:
            ready_file.unlink(missing_ok=True)
        start(clients)
        self._wait_for("the controller manager", lambda: self._answers(_ACCOUNT), wanted)
        if "stand-ins" in wanted:
            self._wait_for("the stand-ins", ready_file.exists, wanted)

    def _stop(self, names: Collection[str], *, timeout: float = 10.0) -> None:
        """Stop components side by side, and those that the others speak to after them."""
        for group in (NAMES[2:], NAMES[1:2], NAMES[:1]):
            processes = [self._process(name) for name in group if name in names]
            with ThreadPoolExecutor(max_workers=len(NAMES)) as pool:
                list(pool.map(lambda process: process.stop(timeout), processes))
        if "stand-ins" in names:  # who would start it again is gone
            self._process(AUTH_PROXY).stop(timeout)

    def _wait_for(self, what: str, ready: Callable[[], bool], needed: Collection[str]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            for name in needed:
                if not (process := self._process(name)).running:
                    raise RehearsalError(
                        f"{name} stopped: {_essence(process.tail(40))}",
                        hint=f"see {process.log}, and try again; to begin anew, run `tideflow rehearsal stop`"
                        f" and remove {self.folder}",
                    )
            if ready():
                return
            if time.monotonic() > deadline:
                raise RehearsalError(
                    f"{what} did not get ready within {_PATIENCE:.0f} seconds",
                    hint=f"see the logs in {self.folder}, and try again when the machine is less busy",
                )
            time.sleep(_INTERVAL)

    def _answers(self, path: str) -> bool:
        """Tell whether the API server answers with 200."""
        pki = self.folder / "pki"
        try:
            context = ssl.create_default_context(cafile=pki / "ca.crt")
            context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
            host, port = self.endpoint.removeprefix("https://").split(":")
            with contextlib.closing(
                http.client.HTTPSConnection(host, int(port), timeout=5, context=context)
            ) as connection:
                connection.request("GET", path)
                return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False


def _essence(log: str) -> str:
    """Return the line of a log that most likely says why its process ended, without time and place."""
    lines = [line for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"\b(error|fatal|panic|failed)\b", line, re.IGNORECASE)]
    if not lines:
        return "it wrote nothing"
    line = (telling or lines)[-1]
    line = re.sub(r"^[IWEF]\d{4} \S+ +\d+ \S+\] ", "", line)  # klog's header
    return line.strip()[:_LONGEST_MESSAGE]
