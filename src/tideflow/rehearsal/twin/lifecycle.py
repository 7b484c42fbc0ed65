"""How clusters come to be: their control planes are started, their nodes made, their 1-clicks installed.

One thread looks at all clusters a few times a second and does what is due, so that whatever was left
half-made by a restart goes on.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tideflow.clients.kubernetes import Kubernetes
from tideflow.errors import TideflowError
from tideflow.rehearsal import addons, clusters, nodes, processes
from tideflow.rehearsal.standins import balancers
from tideflow.rehearsal.twin import catalogue, droplets
from tideflow.rehearsal.twin.faults import Switchboard

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from tideflow.rehearsal.control_plane import ControlPlane
    from tideflow.rehearsal.pace import Pace
    from tideflow.rehearsal.twin.cluster import Cluster
    from tideflow.rehearsal.twin.state import State

_LOG = logging.getLogger(__name__)
_EVERY = 0.2  # seconds between two looks
_AGAIN = 3.0  # seconds until something that failed is tried again
_LEAST_HELM = 5.0  # seconds

# How long the real service takes, in seconds; divided by the speed.
_CLUSTER = 300.0
_NODE = 120.0
_ADDON = 90.0
_HELM = 600.0  # until an installation is given up
_UPGRADE = 600.0
_DELETION = 60.0
_DRAIN = 1800.0  # how long pods may stay that a budget keeps


class Lifecycle:
    """Makes of each cluster in the state what the state says, unless the ``switchboard`` has faults on."""

    def __init__(self, state: State, folder: Path, binaries: Path, pace: Pace) -> None:
        self.pace = pace
        self.switchboard = Switchboard()
        self._state = state
        self._folder = folder
        self._binaries = binaries
        self._workers = ThreadPoolExecutor(4)
        self._busy: dict[str, Future[None]] = {}
        self._retry_at: dict[str, float] = {}
        self._stopped = threading.Event()
        self._started: set[str] = set()
        self._synced: dict[str, set[str]] = {}
        self._installing: set[tuple[str, str]] = set()
        self._refused: dict[str, str] = {}
        self._clients: dict[str, Kubernetes] = {}
        self.address = ""  # the URL of the twin itself, which control planes ask about tokens

    def control_plane(self, cluster_id: str) -> ControlPlane:
        """Return the control plane of a cluster."""
        return clusters.control_plane(self._folder, cluster_id)

    def run(self) -> None:
        """Do what is due, until ``stop``, or until the folder is removed: then all that was started ends.

        Nobody would find it any more, neither the next run nor ``make stop``.
        """
        home = _identity(self._folder)
        while not self._stopped.wait(_EVERY):
            if _identity(self._folder) != home:
                _LOG.warning("%s was removed", self._folder)
                processes.stop_below(self._folder)
                os.kill(os.getpid(), signal.SIGTERM)
                return
            for cluster in self._state:
                done = self._busy.get(cluster.id)
                if (done is None or done.done()) and self._retry_at.get(cluster.id, 0.0) <= time.time():
                    self._busy[cluster.id] = self._workers.submit(self._advance, cluster)

    def stop(self) -> None:
        """End `run`, and wait for what is under way; the control planes go on."""
        self._stopped.set()
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _advance(self, cluster: Cluster) -> None:
        try:
            if cluster.state == "deleting":
                self._delete(cluster)
            else:
                self._start(cluster)
                if cluster.state != "error":
                    self._drain(cluster)
                    self._nodes(cluster)
                    self._addons(cluster)
                    self._refuse_balancers(cluster)
                    self._upgrade(cluster)
                    self._degrade(cluster)
        except TideflowError as error:
            _LOG.warning("%s: %s", cluster.name, error)
            with self._state.lock:
                cluster.message = str(error)
            self._retry_at[cluster.id] = time.time() + _AGAIN

    def _is_due(self, since: float, seconds: float) -> bool:
        return time.time() >= since + seconds / self.pace.speed

    def _start(self, cluster: Cluster) -> None:
        """Have the control plane run, and say so once a real one would."""
        plane = self.control_plane(cluster.id)
        if cluster.id not in self._started:
            clusters.start(
                self._folder, cluster.id, twin=self.address, binaries=self._binaries, pace=self.pace
            )
            self._started.add(cluster.id)
        if cluster.endpoint != plane.endpoint or cluster.state == "provisioning":
            with self._state.lock:
                cluster.endpoint, cluster.message = plane.endpoint, ""
                if cluster.state == "provisioning" and self._is_due(cluster.created_at, _CLUSTER):
                    broken = self.switchboard.faults.breaks(cluster.name)
                    cluster.become("error" if broken else "running")
                    cluster.message = "broken on request" if broken else ""
                self._state.save()

    def _nodes(self, cluster: Cluster) -> None:
        """Have those nodes in the cluster whose droplets would be up by now."""
        with self._state.lock:
            missing = self._missing(cluster)
            gone = {node.id for pool in cluster.pools for node in pool.nodes if node.state == "deleting"}
            due = [
                (pool, node)
                for pool in cluster.pools
                for node in pool.nodes
                if self._is_due(node.created_at, _NODE) and node.id not in missing | gone
            ]
            new = [node for _, node in due if node.state == "provisioning"]
            known = {node.id for _, node in due}
        if not new and not gone and self._synced.get(cluster.id) == known:
            return
        wanted = []
        for pool, node in due:
            size = catalogue.SIZES[pool.size]
            wanted.append(
                nodes.Node(
                    name=node.name,
                    id=node.id,
                    pool_name=pool.name,
                    pool_id=pool.id,
                    size_slug=size.slug,
                    cpus=size.cpus,
                    memory_mib=size.memory_mib,
                    region=cluster.region,
                    labels=pool.labels,
                    taints=pool.taints,
                )
            )
        nodes.sync(self.client(cluster), wanted)
        with self._state.lock:
            for node in new:
                node.become("running")
            for pool in cluster.pools:
                pool.nodes = [node for node in pool.nodes if node.id not in gone]
            self._state.save()
        self._synced[cluster.id] = known

    def _drain(self, cluster: Cluster) -> None:
        """Have the pods of nodes that leave go elsewhere."""
        with self._state.lock:
            leaving = [node for pool in cluster.pools for node in pool.nodes if node.state == "draining"]
        for node in leaving:
            if nodes.drain(self.client(cluster), node.name) and not self._is_due(node.updated_at, _DRAIN):
                continue
            with self._state.lock:
                node.become("deleting")
                self._state.save()

    def _missing(self, cluster: Cluster) -> set[str]:
        """Return the ids of those nodes that never come."""
        making = [node.id for pool in cluster.pools for node in pool.nodes if node.state == "provisioning"]
        return set(making[max(0, len(making) - self.switchboard.faults.missing_nodes) :])

    def _addons(self, cluster: Cluster) -> None:
        """Install the 1-clicks whose time has come, and follow those that are under way."""
        with self._state.lock:
            due = {slug: asked for slug, asked in cluster.addons.items() if self._is_due(asked, _ADDON)}
        for slug, asked_at in due.items():
            if not self._is_over(cluster, slug, asked_at):
                continue
            self._installing.discard((cluster.id, slug))
            with self._state.lock:
                cluster.addons.pop(slug, None)
                self._state.save()

    def _is_over(self, cluster: Cluster, slug: str, asked_at: float) -> bool:
        """Begin with a 1-click or look after it; tell whether the installer is through with it."""
        client, known = self.client(cluster), (cluster.id, slug)
        if slug in self.switchboard.faults.rolled_back:
            addons.roll_back(client, slug)
            return True
        if known not in self._installing:
            self._installing.add(known)
            return not addons.begin(client, slug)
        if addons.is_ready(client, slug):
            addons.finish(client, slug)
            return True
        # Pods and load balancers do not get faster with the speed, so that they have their time at least.
        patience = max(_HELM / self.pace.speed, 3 * self.pace.pod_ready_seconds[1] + _LEAST_HELM)
        if time.time() >= asked_at + _ADDON / self.pace.speed + patience:
            addons.roll_back(client, slug)
            return True
        return False

    def _refuse_balancers(self, cluster: Cluster) -> None:
        """Tell the stand-in of the cloud's controller whether there are load balancers."""
        why = self.switchboard.faults.no_balancers
        if self._refused.get(cluster.id) != why:  # a twin that is started again may have told it otherwise
            balancers.refuse(self.client(cluster), why)
            self._refused[cluster.id] = why

    def _upgrade(self, cluster: Cluster) -> None:
        """Say that an upgrade is done once it would be; the control plane stays as it is."""
        with self._state.lock:
            if cluster.state == "upgrading" and self._is_due(cluster.changed_at, _UPGRADE):
                cluster.change({"version": cluster.next_version, "next_version": ""})
                cluster.become("running")
                self._state.save()

    def _degrade(self, cluster: Cluster) -> None:
        """Have a cluster that runs degraded, or well again."""
        becomes = "degraded" if self.switchboard.faults.degrades(cluster.name) else "running"
        with self._state.lock:
            if cluster.state in {"running", "degraded"} and cluster.state != becomes:
                cluster.become(becomes)
                cluster.message = "degraded on request" if becomes == "degraded" else ""
                self._state.save()

    def _delete(self, cluster: Cluster) -> None:
        if not self._is_due(cluster.changed_at, _DELETION):
            return
        self.control_plane(cluster.id).delete()
        if (client := self._clients.pop(cluster.id, None)) is not None:
            client.close()
        with self._state.lock:
            if "droplets" in self.switchboard.faults.left_behind:
                self._state.droplets |= {found.id: found for found in droplets.of(cluster)}
            self._state.remove(cluster, delay=self.switchboard.faults.balancer_delay)
            self._state.save()

    def client(self, cluster: Cluster) -> Kubernetes:
        """Return a client of a cluster, with the rehearsal's own certificate; others have it too."""
        plane = self.control_plane(cluster.id)
        known = self._clients.get(cluster.id)
        if known is None or known.host != plane.endpoint:
            known = self._clients[cluster.id] = Kubernetes.from_kubeconfig(plane.admin_kubeconfig)
        return known


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return what no other folder has, even one of the same path; None if it is not there."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
