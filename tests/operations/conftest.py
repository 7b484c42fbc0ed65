"""A folder with an inventory of its own, whose hosts are contexts of the tests' control plane."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.integration.deploying import PROJECT, Checkout, Folder

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.planes import Plane

    from tideflow.clients.kubernetes import Kubernetes

TOKEN = "canary-token"
USER = "operations@example.org"
NODES = "/api/v1/nodes"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


@dataclass(frozen=True, kw_only=True)
class Scratch(Folder):
    """A folder with settings and a kubeconfig; tests put their inventory and deploy files there."""

    plane: Plane

    @classmethod
    def make(cls, folder: Path, plane: Plane) -> Scratch:
        """Write what is the same for all tests: contexts ``one`` and ``two``, and one nobody lets in."""
        admin = yaml.safe_load(plane.control_plane.admin_kubeconfig.read_text())
        (cluster,) = admin["clusters"]
        users = {"one": TOKEN, "two": TOKEN, "stranger": "no token of ours"}
        kubeconfig: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "users": [{"name": name, "user": {"token": token}} for name, token in users.items()],
            "contexts": [
                {"name": name, "context": {"cluster": cluster["name"], "user": name}} for name in users
            ],
        }
        made = cls(folder, plane=plane)
        made.write("kubeconfig", yaml.safe_dump(kubeconfig))
        shutil.copytree(PROJECT / "group_data", folder / "group_data")
        made.write(
            "group_data/kubeconfig.py",
            'hostname = "kubeflow.example.org"\nemail = "ada@example.org"\ntls = "self-signed"\n',
        )
        made.inventory("one")
        return made

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.folder / name).write_text(text)

    def inventory(self, *contexts: str) -> None:
        """Have these contexts as hosts."""
        self.write("inventory.py", f"platforms = {[f'@kubeconfig/{name}' for name in contexts]}\n")

    @property
    def kubeconfig(self) -> str:
        """The file with the contexts, for ``KUBECONFIG``."""
        return str(self.folder / "kubeconfig")

    def pyinfra(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run pyinfra over the inventory, however it ends."""
        return self.run("pyinfra", "inventory.py", *arguments, check=False, KUBECONFIG=self.kubeconfig)

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the requests that were made with the kubeconfig, from one of them on."""
        found = [event for event in self.plane.audited() if event["user"].get("username") == USER]
        return found[since:]

    def writes(self, since: int = 0) -> list[str]:
        """Return the paths of those that were writes, and not dry runs of them."""
        return [
            event["requestURI"]
            for event in self.requests(since)
            if event["verb"] in WRITES and "dryRun=All" not in event["requestURI"]
        ]


@pytest.fixture(scope="module")
def client(plane: Plane) -> Iterator[Kubernetes]:
    """Yield a client of a cluster with one node, whose requests do not count."""
    plane.reviews.users[TOKEN] = USER
    client = plane.client()
    room = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    status = {"capacity": room, "allocatable": room}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "operations"}, "status": status}
    client.post(NODES, node)
    yield client
    client.delete(f"{NODES}/operations")
    client.close()


@pytest.fixture
def here(plane: Plane, client: Kubernetes, tmp_path: Path) -> Scratch:  # noqa: ARG001 - it makes the node
    """Return a folder of the test's own."""
    return Scratch.make(tmp_path, plane)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """Return what a clone has; the rehearsal in it is stopped afterwards."""
    (tmp_path / "checkout").mkdir()
    made = Checkout.make(tmp_path / "checkout")
    try:
        yield made
    finally:
        made.stop()
