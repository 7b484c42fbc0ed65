"""A twin of which everything is known, with somebody else's things in its account, and runs against it.

All its clusters have, one after another, the same real control plane, since to start one takes as long as all
else that happens in a life.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from tests.integration.deploying import PROJECT, Checkout, clean_environment
from tests.integration.planes import eventually
from tests.operations.mishaps import Schedule
from typing_extensions import override
from werkzeug.serving import make_server

from tideflow.clients.kubernetes import Kubernetes
from tideflow.engine.manifests import Key
from tideflow.errors import KubernetesError, RehearsalError
from tideflow.rehearsal import charts, helm
from tideflow.rehearsal.control_plane import ControlPlane
from tideflow.rehearsal.pace import Pace
from tideflow.rehearsal.twin.api import application
from tideflow.rehearsal.twin.cluster import Cluster, Node, Pool
from tideflow.rehearsal.twin.faults import Faults
from tideflow.rehearsal.twin.gathering import gather
from tideflow.rehearsal.twin.lifecycle import Lifecycle
from tideflow.rehearsal.twin.resources import Balancer, Snapshot, Volume
from tideflow.rehearsal.twin.server import Handler
from tideflow.rehearsal.twin.state import State
from tideflow.rehearsal.twin.zones import Domain, Record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.operations.mishaps import Mishap

NAME = "ml"
ZONE = "example.org"
HOSTNAME = f"kubeflow.{ZONE}"
TOKEN = "canary-token"
NGINX = Key("", "Service", "ingress-nginx", "ingress-nginx-controller")
_ORDERS = "/api/v1/namespaces/tideflow/configmaps/addons"
_PACE = Pace(pod_ready_seconds=(0.1, 0.2), speed=3000.0)
_LONGEST = 120.0  # seconds that a run may take, however much goes wrong
_THEIRS = "theirs"


class _Emptied(ControlPlane):
    """A control plane that goes on without nodes, pods, Services and claims when it should be deleted."""

    def client(self) -> Kubernetes:
        """Return a client with the rehearsal's own certificate; the caller closes it."""
        return Kubernetes.from_kubeconfig(self.admin_kubeconfig)

    @override
    def delete(self) -> None:
        client = self.client()
        try:
            _uninstall(client, NGINX.namespace)
            for kind in ("services", "persistentvolumeclaims", "pods", "nodes", "persistentvolumes"):
                for found in client.get(f"/api/v1/{kind}")["items"]:
                    if found["metadata"].get("labels", {}).get("provider") != "kubernetes":
                        _delete(client, kind, found["metadata"])
        finally:
            client.close()

    def end(self) -> None:
        """Stop it, and remove it with all its data."""
        super().delete()


def _uninstall(client: Kubernetes, slug: str) -> None:
    """Have a 1-click no more, nor any memory of it."""
    number, _ = helm.revision(client, slug)
    if number:
        for path, _ in [*charts.objects(slug), *charts.made_by_hooks(slug, client)]:
            with suppress(KubernetesError):
                client.delete(path)
    for each in range(number, 0, -1):
        with suppress(KubernetesError):
            helm.forget(client, slug, each)
    with suppress(KubernetesError):
        client.delete(_ORDERS)


def _delete(client: Kubernetes, kind: str, metadata: dict[str, Any]) -> None:
    """Delete an object at once, whoever would have something to do before."""
    space = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    path = f"/api/v1{space}/{kind}/{metadata['name']}"
    with suppress(KubernetesError):  # it is gone already
        client.delete(path, query={"gracePeriodSeconds": "0"})
        client.patch(path, {"metadata": {"finalizers": None}})


class _Lives(Lifecycle):
    """A twin's clusters, which all have one control plane; others' have none, and stay as they are."""

    def __init__(self, state: State, folder: Path, plane: _Emptied) -> None:
        super().__init__(state, folder, folder, _PACE)
        self._plane = plane

    @override
    def control_plane(self, cluster_id: str) -> ControlPlane:
        return self._plane

    @override
    def run(self) -> None:
        while not self._stopped.wait(0.03):
            for cluster in self._state:
                self._advance(cluster)

    @override
    def _advance(self, cluster: Cluster) -> None:
        if cluster.name != _THEIRS:
            super()._advance(cluster)

    @override
    def _start(self, cluster: Cluster) -> None:
        if cluster.id not in self._started:
            self._plane.delete()
            self._started.add(cluster.id)
        super()._start(cluster)

    @override
    def client(self, cluster: Cluster) -> Kubernetes:
        if cluster.name == _THEIRS:
            raise RehearsalError("what somebody else's cluster has made is known")
        return super().client(cluster)


@dataclass(frozen=True)
class Run:
    """How a run ended, what it printed, and which of its mishaps happened."""

    status: int
    printed: str
    mishaps: tuple[Mishap, ...]
    took: float

    @property
    def changed_nothing(self) -> bool:
        """Whether there was nothing to do."""
        return "] No changes" in self.printed and "] Success" not in self.printed


class World:
    """The account of a user, and a folder from which pyinfra is run on it; ``begin`` has all of it anew."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._folder = folder
        self._binaries = binaries
        self._stack = ExitStack()
        self._guard = threading.Lock()
        self._answering = 0
        self._lifecycle: _Lives | None = None

    def __enter__(self) -> Self:
        """Start what is the same for all lives."""
        for talkative in ("werkzeug", "tideflow.rehearsal.twin"):
            logging.getLogger(talkative).setLevel(logging.ERROR)
        (self._folder / "checkout").mkdir()
        self._checkout = Checkout.make(self._folder / "checkout")
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=Handler)
        serving = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        self._stack.callback(self._server.server_close)
        self._stack.callback(serving.join)
        self._stack.callback(self._server.shutdown)
        self._address = f"http://127.0.0.1:{self._server.port}"
        self._plane = _Emptied(self._folder / "plane")
        self._stack.callback(self._plane.end)
        self._plane.start(
            binaries=self._binaries,
            token_review_url=f"{self._address}/rehearsal/clusters/any/tokenreview",
            audit_log=self._folder / "audit.log",
            pod_ready_seconds=_PACE.pod_ready_seconds,
        )
        self._client = self._plane.client()
        self._stack.callback(self._client.close)
        self._runs = subprocess.Popen(
            [sys.executable, "-m", "tests.operations.hurrying"],
            cwd=PROJECT,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(self._end_runs)
        self._stack.callback(self._rest)
        return self

    def __exit__(self, *args: object) -> None:
        """Stop all of it."""
        self._stack.close()

    def _end_runs(self) -> None:
        assert self._runs.stdin is not None
        assert self._runs.stdout is not None
        self._runs.stdin.close()
        self._runs.wait(60)
        self._runs.stdout.close()

    def _rest(self) -> None:
        """Have the clusters make no progress any more."""
        if self._lifecycle is not None:
            self._lifecycle.stop()
            self._following.join()

    def begin(self) -> None:
        """Have an account with nothing of ours, and nothing kept on this machine."""
        self._rest()
        file = self._folder / "state.json"
        file.unlink(missing_ok=True)
        self.state = State(file)
        self.schedule = Schedule()
        self._lifecycle = _Lives(self.state, self._folder, self._plane)
        self._lifecycle.switchboard = self.schedule
        self._lifecycle.address = self._address
        self._app = application(self.state, self._lifecycle, TOKEN)
        self._following = threading.Thread(target=self._lifecycle.run)
        self._following.start()
        for kept in ("kubeconfig", "access"):
            (self._checkout.folder / ".tideflow" / NAME / kept).unlink(missing_ok=True)
        _settle_others(self.state)
        self._theirs = self._everything()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request as the twin does; the control plane asks about tokens of any cluster."""
        if environ["PATH_INFO"].startswith("/rehearsal/clusters/any/"):
            ours = next((cluster.id for cluster in self.state if cluster.name == NAME), "none")
            environ["PATH_INFO"] = f"/rehearsal/clusters/{ours}/tokenreview"
        with self._guard:
            self._answering += 1
        try:
            return self._app(environ, start_response)
        finally:
            with self._guard:
                self._answering -= 1

    def run(
        self,
        step: str,
        data: dict[str, Any],
        *,
        mishaps: Sequence[Mishap] = (),
        faults: dict[str, Any] | None = None,
    ) -> Run:
        """Run a deploy file, while ``faults`` are on and ``mishaps`` happen to it."""
        limits = {"requests_per_hour": 10**9, "requests_per_minute": 10**9}
        self.schedule.switch(Faults.model_validate(limits | (faults or {})))
        arguments = ["-y", "inventory.py", f"deploys/{step}.py"]
        for name, value in data.items():
            arguments += ["--data", f"{name}={json.dumps(value)}"]
        printed = self._folder / "printed"
        told = {
            "folder": str(self._checkout.folder),
            "printed": str(printed),
            "arguments": arguments,
            "environment": {
                "TIDEFLOW_PLATFORM": NAME,
                "DIGITALOCEAN_ACCESS_TOKEN": TOKEN,
                "DIGITALOCEAN_END_POINT": f"{self._address}/v2/",
            },
        }
        process: list[int] = []
        started, before = time.monotonic(), len(self.schedule.happened)

        def kill() -> None:
            while not process:
                time.sleep(0.001)
            with suppress(ProcessLookupError):
                os.kill(process[0], signal.SIGKILL)

        self.schedule.begin(mishaps, kill)
        assert self._runs.stdin is not None
        assert self._runs.stdout is not None
        self._runs.stdin.write(json.dumps(told) + "\n")
        self._runs.stdin.flush()
        process.append(int(self._runs.stdout.readline()))
        watchdog = threading.Timer(_LONGEST, kill)
        watchdog.start()
        try:
            status = int(self._runs.stdout.readline())
        finally:
            watchdog.cancel()
        took = time.monotonic() - started
        while self._answering:  # what a killed run has asked for may be under way
            time.sleep(0.005)
        self.schedule.begin((), lambda: None)
        run = Run(status, printed.read_text(), tuple(self.schedule.happened[before:]), took)
        assert took < _LONGEST, f"it hangs:\n{run.printed}"
        return run

    def use(self) -> None:
        """Have a volume in the cluster, if there is none, as people do."""
        spec: dict[str, Any] = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "do-block-storage",
            "resources": {"requests": {"storage": "1Gi"}},
        }
        claims = "/api/v1/namespaces/default/persistentvolumeclaims"
        self._have(claims, {"metadata": {"name": "data"}, "spec": spec})

    def balance(self) -> None:
        """Have what the 1-click of nginx would have: a Service with a load balancer and its address."""
        self._have("/api/v1/namespaces", {"metadata": {"name": NGINX.namespace}})
        spec: dict[str, Any] = {"type": "LoadBalancer", "ports": [{"port": 80}]}
        services = f"/api/v1/namespaces/{NGINX.namespace}/services"
        self._have(services, {"metadata": {"name": NGINX.name}, "spec": spec})
        eventually(
            lambda: self._client.get(f"{services}/{NGINX.name}")["status"]["loadBalancer"].get("ingress")
        )

    def _have(self, path: str, made: dict[str, Any]) -> None:
        with suppress(KubernetesError):  # it is there
            self._client.post(path, made)

    def nodes(self) -> dict[str, bool]:
        """Return the names of the nodes in Kubernetes, and whether each takes pods."""
        found = self._client.get("/api/v1/nodes")["items"]
        return {node["metadata"]["name"]: not node["spec"].get("unschedulable") for node in found}

    @property
    def clusters(self) -> list[Cluster]:
        """The clusters that are not somebody else's."""
        return [cluster for cluster in self.state if cluster.name != _THEIRS]

    def ours(self) -> dict[str, Any]:
        """Return all of the account that is not somebody else's, without what changes by itself."""
        assert self._lifecycle is not None
        gather(self.state, self._lifecycle.client)
        with self.state.lock:
            there = self._everything()
            return {
                kind: {key: value for key, value in things.items() if self._theirs[kind].get(key) != value}
                for kind, things in there.items()
            }

    def are_theirs_untouched(self) -> bool:
        """Tell whether all that somebody else has is as it was."""
        with self.state.lock:
            there = self._everything()
        return all(
            there[kind].get(key) == thing
            for kind, things in self._theirs.items()
            for key, thing in things.items()
        )

    def _everything(self) -> dict[str, dict[Any, Any]]:
        def named(things: dict[str, Any]) -> dict[Any, Any]:
            return {key: asdict(thing) for key, thing in things.items()}

        clusters = named(self.state.clusters)
        for cluster in clusters.values():
            del cluster["tokens"]
        return {
            "clusters": clusters,
            "load balancers": named(self.state.balancers),
            "volumes": named(self.state.volumes),
            "snapshots": named(self.state.snapshots),
            "records": {
                record.id: asdict(record)
                for domain in self.state.domains.values()
                for record in domain.records
            },
            "tags": {tag: tag for tag in self.state.tags},
        }


def _settle_others(state: State) -> None:
    """Have somebody else's things in an account, some of which look nearly like ours."""
    nodes = [Node(f"pool-{number}", state="running") for number in range(2)]
    pool = Pool(f"{NAME}-pool", "s-4vcpu-8gb", 2, nodes=nodes)
    cluster = Cluster(_THEIRS, "nyc3", "1.34.1-do.2", tags=["tideflow", "tideflow:theirs"], pools=[pool])
    cluster.become("running")
    state.clusters[cluster.id] = cluster
    droplets = [node.droplet_id for node in nodes]
    balancer = Balancer("b-1", "edge", cluster.id, "nyc3", "", 1.0, ip="203.0.113.1", droplet_ids=droplets)
    state.balancers[balancer.id] = balancer
    for of in (cluster.id, "gone"):
        volume = Volume(f"v-{of}", f"pvc-{of}", of, "nyc3", 1.0, 5)
        state.volumes[volume.id] = volume
        snapshot = Snapshot("kept", volume.id, of, "nyc3", 5)
        state.snapshots[snapshot.id] = snapshot
    mark = "tideflow platform=theirs A 203.0.113.1"
    state.domains[ZONE] = Domain(ZONE)
    state.domains[ZONE].records += [
        Record("A", "theirs", "203.0.113.1"),
        Record("TXT", "_tideflow.theirs", mark),
        Record("A", "www", "203.0.113.2"),
    ]
    state.tags += ["somebodys", f"tideflow-teardown:{NAME}s:gone"]
