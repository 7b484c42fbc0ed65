"""What each component of the control plane is started with: its flags, and the files they name.

Why these flags: https://kubernetes.io/docs/reference/command-line-tools-reference/ and, for the sockets,
https://kubernetes.io/docs/tasks/extend-kubernetes/setup-konnectivity/.
"""

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization

from tideflow.files import private_folder, write_private
from tideflow.rehearsal.building import auth_proxy_beside
from tideflow.rehearsal.certificates import Authority, key_pem, load_key, new_key

ADMIN = "tideflow-rehearsal"
"""The user as whom the rehearsal itself works; its requests are not in the audit log."""

PLATFORM_GROUP = "tideflow:platform"
"""The group of users who come with a token of the twin: theirs are the requests in the audit log."""

POD_SUBNET = "10.244.0.0/16"
SERVICE_SUBNET = "10.245.0.0/16"

_ETCD_CLIENTS = "unix://localhost:2379"  # the socket is the file `localhost:2379` in the working directory
_ETCD_PEERS = "unix://localhost:2380"

_CLIENTS = {
    "admin": (ADMIN, "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kwok": ("tideflow-kwok", "system:masters"),
}

_RECOVERS = ("1s", "4s")
"""How long what has crashed takes to get ready at last: its images are there."""
_BACKS_OFF = ("5s", "10s")
_DATABASES = ("100s", "130s")
"""How long databases take in the realistic pace: they make their files first."""

_NOT_CONTROLLERS = "nodeipam", "node-route-controller", "cloud-node-lifecycle-controller"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides how the components of one cluster are started."""

    folder: Path
    sockets: Path
    port: int
    binaries: Path
    token_review_url: str
    audit_log: Path
    pod_ready_seconds: tuple[float, float]
    realistic: bool = False


@dataclass(frozen=True)
class Launch:
    """How to start one component: its command, where it runs, and the files it reads when it starts."""

    name: str
    command: tuple[str, ...]
    folder: Path
    files: tuple[Path, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A digest of all that the component was started with; another one means it has to be restarted."""
        content = hashlib.sha256("\0".join((*self.command, str(self.folder))).encode())
        for file in self.files:
            content.update(file.read_bytes())
        return content.hexdigest()[:16]


def launches(settings: Settings) -> dict[str, Launch]:
    """Return how to start each component, by name, in the order in which they are needed.

    Writes the files that they read: certificates once, unless they are damaged, the others anew.
    """
    private_folder(settings.folder)
    private_folder(settings.audit_log.parent)
    _write_certificates(settings.folder / "pki")
    for name, content in _files(settings):
        write_private(settings.folder / name, content)
    all_launches = (
        _etcd(settings),
        _api_server(settings),
        _controller_manager(settings),
        _scheduler(settings),
        _kwok(settings),
        Launch(
            "stand-ins",
            (
                *(sys.executable, "-m", "tideflow.rehearsal.standins", "--folder", str(settings.folder)),
                *("--auth-proxy", str(auth_proxy_beside(settings.binaries))),
                *(("--realistic",) if settings.realistic else ()),
            ),
            settings.folder,
            (settings.folder / "admin.kubeconfig",),
        ),
    )
    return {launch.name: launch for launch in all_launches}


def _etcd(settings: Settings) -> Launch:
    return Launch(
        "etcd",
        (
            str(settings.binaries / "etcd"),
            f"--data-dir={settings.folder / 'etcd'}",
            f"--listen-client-urls={_ETCD_CLIENTS}",
            f"--advertise-client-urls={_ETCD_CLIENTS}",
            f"--listen-peer-urls={_ETCD_PEERS}",
            f"--initial-advertise-peer-urls={_ETCD_PEERS}",
            f"--initial-cluster=default={_ETCD_PEERS}",
            "--unsafe-no-fsync",  # three times as fast, and only a crash of the machine can tell
            "--log-level=warn",
        ),
        settings.sockets,
    )


def _api_server(settings: Settings) -> Launch:
    folder, pki = settings.folder, settings.folder / "pki"
    return Launch(
        "kube-apiserver",
        (
            str(settings.binaries / "kube-apiserver"),
            f"--etcd-servers={_ETCD_CLIENTS}",
            "--bind-address=127.0.0.1",
            f"--secure-port={settings.port}",
            # Endpoints may not be loopback addresses, so the Service `kubernetes` has none.
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--service-cluster-ip-range={SERVICE_SUBNET}",
            f"--tls-cert-file={pki / 'kube-apiserver.crt'}",
            f"--tls-private-key-file={pki / 'kube-apiserver.key'}",
            f"--client-ca-file={pki / 'ca.crt'}",
            "--anonymous-auth=false",
            f"--authentication-token-webhook-config-file={folder / 'token-review.kubeconfig'}",
            "--authentication-token-webhook-version=v1",
            # A good answer is remembered for 10 s all the same, for which there is no flag.
            "--authentication-token-webhook-cache-ttl=1s",
            "--authorization-mode=Node,RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki / 'service-accounts.pub'}",
            f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
            "--allow-privileged=true",
            f"--egress-selector-config-file={folder / 'egress.yaml'}",
            "--enable-aggregator-routing=true",
            f"--audit-policy-file={folder / 'audit-policy.yaml'}",
            f"--audit-log-path={settings.audit_log}",
            "--audit-log-maxsize=1024",  # MiB; one file, or lines that were counted would be elsewhere
            "--profiling=false",
        ),
        settings.sockets,
        (
            pki / "kube-apiserver.crt",
            pki / "service-accounts.pub",
            folder / "token-review.kubeconfig",
            folder / "egress.yaml",
            folder / "audit-policy.yaml",
        ),
    )


def _controller_manager(settings: Settings) -> Launch:
    folder, pki = settings.folder, settings.folder / "pki"
    kubeconfig = folder / "kube-controller-manager.kubeconfig"
    return Launch(
        "kube-controller-manager",
        (
            str(settings.binaries / "kube-controller-manager"),
            f"--kubeconfig={kubeconfig}",
            "--secure-port=0",
            "--leader-elect=false",
            f"--controllers=*,{','.join(f'-{name}' for name in _NOT_CONTROLLERS)}",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={pki / 'service-accounts.key'}",
            f"--root-ca-file={pki / 'ca.crt'}",
            "--profiling=false",
        ),
        folder,
        (pki / "service-accounts.pub", kubeconfig),
    )


def _scheduler(settings: Settings) -> Launch:
    kubeconfig = settings.folder / "kube-scheduler.kubeconfig"
    return Launch(
        "kube-scheduler",
        (
            str(settings.binaries / "kube-scheduler"),
            f"--kubeconfig={kubeconfig}",
            "--secure-port=0",
            "--leader-elect=false",
            "--profiling=false",
        ),
        settings.folder,
        (kubeconfig,),
    )


def _kwok(settings: Settings) -> Launch:
    kubeconfig, stages = settings.folder / "kwok.kubeconfig", settings.folder / "stages.yaml"
    return Launch(
        "kwok",
        (
            str(settings.binaries / "kwok"),
            f"--kubeconfig={kubeconfig}",
            f"--config={stages}",
            "--manage-all-nodes",
            f"--cidr={POD_SUBNET}",
            # Without leases it may give two pods one address (kwok 0.8).
            "--node-lease-duration-seconds=40",
            "--node-port=0",  # or it serves logs and exec on all addresses
        ),
        settings.folder,
        (kubeconfig, stages),
    )


def _files(settings: Settings) -> Iterator[tuple[str, str]]:
    for client in _CLIENTS:
        yield f"{client}.kubeconfig", _yaml(_kubeconfig(settings, client))
    yield (
        "token-review.kubeconfig",
        _yaml(_config({"server": settings.token_review_url}, {}, "token-review")),
    )
    yield "egress.yaml", _yaml(_egress(settings.sockets / "egress.sock"))
    yield "audit-policy.yaml", _yaml(_AUDIT_POLICY)
    yield "stages.yaml", _stages(settings.pod_ready_seconds, realistic=settings.realistic)


def _kubeconfig(settings: Settings, client: str) -> dict[str, Any]:
    pki = settings.folder / "pki"
    return _config(
        {"server": f"https://127.0.0.1:{settings.port}", "certificate-authority": str(pki / "ca.crt")},
        {"client-certificate": str(pki / f"{client}.crt"), "client-key": str(pki / f"{client}.key")},
        "rehearsal",
    )


def _config(cluster: dict[str, str], user: dict[str, str], name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def _egress(socket: Path) -> dict[str, Any]:
    """Return what makes the API server reach into the cluster (webhooks, kubelets) by way of ``socket``."""
    connection = {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": str(socket)}}}
    return {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": connection}],
    }


_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    # Each request ends in one stage: ResponseComplete or, when the API server stumbles over it, Panic.
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "userGroups": [PLATFORM_GROUP]}, {"level": "None"}],
}


def _stages(pod_ready_seconds: tuple[float, float], *, realistic: bool) -> str:
    """Return kwok's stages, with pods getting ready (or crashing) after ``pod_ready_seconds`` (from, to)."""
    text = Path(__file__).with_name("stages.yaml").read_text(encoding="utf-8")
    stages = {stage["metadata"]["name"]: stage for stage in yaml.load_all(text, yaml.CSafeLoader)}
    accepted = stages["pod-accepted"]["spec"]["delay"]["durationMilliseconds"]
    shortest, longest = (max(0, round(seconds * 1000) - accepted) for seconds in pod_ready_seconds)
    for name, restart in (("pod-ready", _RECOVERS), ("pod-crashes", _BACKS_OFF)):
        # The jitter is the longest delay, not what is added to the shortest.
        stages[name]["spec"]["delay"] = {
            "durationMilliseconds": shortest,
            "durationFrom": {"jq": {"expression": _delay(restart[0], _DATABASES[0] if realistic else None)}},
            "jitterDurationMilliseconds": longest,
            "jitterDurationFrom": {
                "jq": {"expression": _delay(restart[1], _DATABASES[1] if realistic else None)}
            },
        }
    if realistic:
        # What a kubelet says meanwhile; a quick rehearsal saves the requests.
        stages["pod-accepted"]["spec"]["next"]["event"] = {
            "type": "Normal",
            "reason": "Pulling",
            "message": "Pulling image",
        }
    return _yaml(*stages.values())


def _yaml(*documents: Any) -> str:
    """Return YAML, made by the C library: every run waits for it."""
    return str(yaml.dump_all(documents, Dumper=yaml.CSafeDumper))


def _delay(restart: str, database: str | None) -> str:
    """Return the jq expression of a pod's delay; nothing where the default holds."""
    late = f'elif .metadata.name | test("^(katib-)?(mysql|postgres)") then "{database}"' if database else ""
    return f"""
        if ([.status.containerStatuses[]?.restartCount] | add // 0) > 0 then "{restart}"
        elif .metadata.annotations["rehearsal.tideflow.dev/pull"] then
          .metadata.annotations["rehearsal.tideflow.dev/pull"]
        {late} else empty end
    """


def _write_certificates(pki: Path) -> None:
    authority = Authority.load_or_create(pki, "tideflow rehearsal")
    if (key := load_key(pki / "service-accounts.key")) is None:
        key = new_key()
        write_private(pki / "service-accounts.key", key_pem(key))
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_private(pki / "service-accounts.pub", public.decode())
    server = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
    first_service_address = SERVICE_SUBNET.replace("0.0/16", "0.1")
    for name, (user, group) in {"kube-apiserver": ("kube-apiserver", ""), **_CLIENTS}.items():
        if not authority.has_issued(pki / f"{name}.crt", pki / f"{name}.key"):
            serves = name == "kube-apiserver"
            certificate, private_key = authority.issue(
                user,
                organization=group,
                dns_names=server if serves else (),
                addresses=("127.0.0.1", first_service_address) if serves else (),
            )
            write_private(pki / f"{name}.key", private_key)
            write_private(pki / f"{name}.crt", certificate)
