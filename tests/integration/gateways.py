"""A cluster that people log in to through its gateway: nginx, and of a base what has to do with the login."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
import yaml
from tests.integration.engine_runs import apply
from tests.integration.logging_in import Visitor, login, refused
from tests.integration.planes import Plane, eventually

from tideflow.rehearsal import charts
from tideflow.rehearsal.gateway.places import LISTENS, NGINX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.clients.kubernetes import Kubernetes

SAMPLE = Path(__file__).parents[2] / "vendored" / "sample"
HOST = "kubeflow.localhost"
EMAIL = "user@example.com"
PASSWORD = "a password of the tests"

INGRESS = "/apis/networking.k8s.io/v1/namespaces/istio-system/ingresses/kubeflow"
POLICY = "/apis/networking.k8s.io/v1/namespaces/istio-system/networkpolicies/edge-to-gateway"
DEX = "/apis/apps/v1/namespaces/auth/deployments/dex"
AUTH_PROXY = "/apis/apps/v1/namespaces/oauth2-proxy/deployments/oauth2-proxy"
PASSWORDS = "/api/v1/namespaces/auth/secrets/dex-passwords"

_DEFINING = {"AuthorizationPolicy", "Gateway", "NetworkPolicy", "RequestAuthentication", "VirtualService"}
"""Kinds of which all objects are wanted; of the others, those of the login and of what is behind it."""
_RUNNING = {"ConfigMap", "Deployment", "Secret", "Service", "ServiceAccount"}
_NAMES = ("centraldashboard", "dex", "istio", "istio-ingressgateway", "oauth2-proxy")
_SPACES = {"auth", "istio-system", "kubeflow", "oauth2-proxy"}


@contextlib.contextmanager
def running(folder: Path, binaries: Path, base: Path = SAMPLE) -> Iterator[Site]:
    """Run a cluster with one node that people log in to."""
    with Plane(folder, binaries) as plane:
        plane.start(stand_ins=True, pod_ready_seconds=(0.2, 0.4))
        site = Site(plane)
        room = {"cpu": "16", "memory": "64Gi", "pods": "110"}
        status = {"capacity": room, "allocatable": room}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"}, "status": status}
        site.cluster.post("/api/v1/nodes", node)
        site.deploy(base)
        yield site
        site.cluster.close()


class Site:
    """The cluster, and what is told to people about it."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.cluster: Kubernetes = plane.client()
        self.secret = secrets.token_hex(16)
        self.base: list[dict[str, Any]] = []

    def deploy(self, folder: Path = SAMPLE) -> None:
        """Have nginx and the login of a base there, and everything open that has to be."""
        nginx = [body for _, body in charts.objects("ingress-nginx")]
        self.base = list(self._objects(folder))
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ingress-nginx"}}
        apply(self.cluster, [space, *nginx], set_name="nginx", wait=False)
        apply(self.cluster, self.base, set_name="base")
        apply(self.cluster, [ingress(), policy()], set_name="edge")
        eventually(lambda: LISTENS in self._annotations())
        for path, expected in (("/", 403), ("/dex/healthz", 200)):
            eventually(lambda: self.visitor().get(path).status_code, lambda found: found == expected)  # noqa: B023
        eventually(self._knows_people)

    @property
    def address(self) -> str:
        """Where the gateway listens."""
        return str(self._annotations()[LISTENS])

    def visitor(self, scheme: str = "http", trusted: Path | None = None) -> Visitor:
        """Return somebody who has not been there."""
        return Visitor(f"{scheme}://{self.address}", HOST, trusted=trusted)

    def login(self, password: str = PASSWORD, scheme: str = "http", trusted: Path | None = None) -> Visitor:
        """Log in."""
        return login(f"{scheme}://{self.address}", HOST, EMAIL, password, trusted=trusted)

    def refuses(self, password: str) -> bool:
        """Tell whether Dex refuses a password."""
        return refused(f"http://{self.address}", HOST, EMAIL, password)

    def set_secret(self, path: str, **values: str) -> None:
        """Change values of a Secret."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self.cluster.patch(path, {"data": data})

    def restart(self, path: str) -> None:
        """Replace the pods of a Deployment, and wait until the old ones are gone."""
        annotations = {"tests/restarted-at": dt.datetime.now(dt.UTC).isoformat()}
        patched = self.cluster.patch(path, {"spec": {"template": {"metadata": {"annotations": annotations}}}})
        generation = patched["metadata"]["generation"]

        def over() -> bool:
            live = self.cluster.get(path)
            state, count = live["status"], live["spec"]["replicas"]
            return state.get("observedGeneration", 0) >= generation and all(
                state.get(each) == count for each in ("replicas", "updatedReplicas", "availableReplicas")
            )

        eventually(over)

    def named(self, kind: str, namespace: str, stem: str) -> str:
        """Return the name of an object of the base that begins so; releases add a digest."""
        (found,) = (
            body["metadata"]["name"]
            for body in self.base
            if body["kind"] == kind
            and body["metadata"].get("namespace") == namespace
            and body["metadata"]["name"].startswith(stem)
        )
        return str(found)

    def _knows_people(self) -> bool:
        """Tell whether the gateway has read all that a login needs, which comes to it in any order."""
        with contextlib.suppress(AssertionError):
            return bool(self.login())
        return False

    def _annotations(self) -> dict[str, str]:
        service = self.cluster.get(f"/api/v1/namespaces/{NGINX[0]}/services/{NGINX[1]}")
        return service["metadata"].get("annotations") or {}

    def _objects(self, folder: Path) -> Iterator[dict[str, Any]]:
        for file in sorted(folder.rglob("*.yaml")):
            body = yaml.safe_load(file.read_text())
            if _is_wanted(body):
                if body["kind"] == "Secret":
                    self._fill(body)
                yield body

    def _fill(self, body: dict[str, Any]) -> None:
        data = {
            key: base64.b64decode(value).decode() for key, value in (body.pop("data", None) or {}).items()
        }
        data |= body.pop("stringData", None) or {}
        ours = {
            "DEX_USER_PASSWORD": hashed(PASSWORD),
            "OIDC_CLIENT_SECRET": self.secret,
            "client-secret": self.secret,
            "cookie-secret": secrets.token_hex(16),
        }
        body["stringData"] = {key: ours.get(key, value) for key, value in data.items()}


def hashed(password: str) -> str:
    """Return a hash that is quickly made, as far as Dex takes it."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode()


def ingress(**annotations: str) -> dict[str, Any]:
    """Return the Ingress, with annotations of nginx's; it does not wait for long."""
    backend = {"service": {"name": "istio-ingressgateway", "port": {"number": 80}}}
    settings = {"proxy-connect-timeout": "1", **annotations}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "kubeflow",
            "namespace": "istio-system",
            "annotations": {f"nginx.ingress.kubernetes.io/{key}": value for key, value in settings.items()},
        },
        "spec": {
            "ingressClassName": "nginx",
            "rules": [
                {"host": HOST, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
            ],
        },
    }


def policy() -> dict[str, Any]:
    """Return what lets nginx in to the gateway."""
    edge = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "edge-to-gateway", "namespace": "istio-system"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "istio-ingressgateway"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [edge], "ports": [{"port": 8080, "protocol": "TCP"}]}],
        },
    }


def _is_wanted(body: dict[str, Any]) -> bool:
    kind, name = body["kind"], body["metadata"]["name"]
    if kind == "CustomResourceDefinition":
        return bool(body["spec"]["group"] in {"networking.istio.io", "security.istio.io"})
    if kind == "Namespace":
        return name in _SPACES
    within = body["metadata"].get("namespace") in _SPACES
    return within and (kind in _DEFINING or (kind in _RUNNING and _is_of_login(name)))


def _is_of_login(name: str) -> bool:
    """Tell whether a name is one of those, or one with a digest or a purpose after it."""
    return name in _NAMES or any(name.startswith(f"{each}-") for each in _NAMES if each != "istio")
