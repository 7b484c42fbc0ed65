"""Pods that fail as real ones do: what a run that gives up says of each, and how it recovers with them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.planes import eventually
from tests.integration.proxying import Answer, Pass, Proxy
from tests.unit.engine.objects import deployment, namespace

from tideflow.engine import evidence, telling
from tideflow.engine.applying import Application, Options
from tideflow.engine.manifests import load
from tideflow.engine.waiting import Pods
from tideflow.engine.watching import Seen
from tideflow.errors import ApplyError
from tideflow.rehearsal.standins.dependencies import NEEDS, dependencies
from tideflow.rehearsal.standins.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.planes import Plane
    from tests.integration.proxying import Call, Verdict

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.applying import Summary

SPACE, STRICT = "failures", "failures-strict"
FAILS, PULL = "rehearsal.tideflow.dev/fails", "rehearsal.tideflow.dev/pull"
CANARY = "canary-of-a-test"
LOG = f"starting\nconnecting to mysql://root:{CANARY}@mysql:3306\npassword={CANARY} was refused\n"


def annotated(name: str, space: str = SPACE, *, annotations: dict[str, str], **pod: Any) -> dict[str, Any]:
    """Return a Deployment whose pods have annotations."""
    made = deployment(name, space, **pod)
    made["spec"]["template"]["metadata"]["annotations"] = annotations
    return made


def failing() -> list[dict[str, Any]]:
    """Return one of each."""
    canary = [{"name": "PASSWORD", "value": CANARY}]
    large = [{"name": "main", "image": "x", "resources": {"requests": {"memory": "3Gi"}}}]
    crash = annotated(
        "crash",
        annotations={FAILS: "CrashLoopBackOff"},
        containers=[{"name": "main", "image": "example.org/main:1", "env": canary}],
    )
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": SPACE},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "fast",
        },
    }
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    roomless = deployment("roomless", SPACE, containers=large)
    roomless["spec"]["replicas"] = 4
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job", "namespace": SPACE},
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": {"annotations": {FAILS: "OOMKilled"}},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "main", "image": "example.org/job:1"}],
                },
            },
        },
    }
    unserved = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "failures"},
        "webhooks": [
            {
                "name": "hook.example.org",
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                    }
                ],
                "objectSelector": {"matchLabels": {"app": "hooked"}},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
    return [
        namespace(SPACE),
        namespace(STRICT, **{"pod-security.kubernetes.io/enforce": "restricted"}),
        annotated("image", annotations={FAILS: "ImagePullBackOff"}),
        crash,
        annotated("oom", annotations={FAILS: "OOMKilled"}),
        annotated("slow", annotations={PULL: "600s"}),
        claim,
        deployment("unbound", SPACE, volumes=volumes),
        roomless,
        deployment("strict", STRICT),
        unserved,
        deployment("hooked", SPACE),
        job,
    ]


@pytest.fixture(scope="module")
def own(plane: Plane) -> Iterator[Kubernetes]:
    """Yield a client of a cluster with one node."""
    client = plane.client()
    room = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    client.post(
        "/api/v1/nodes",
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "failures", "labels": {"node.kubernetes.io/instance-type": "s-4vcpu-8gb"}},
            "status": {"capacity": room, "allocatable": room},
        },
    )
    yield client
    client.delete("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/failures")
    for found in client.get("/api/v1/namespaces")["items"]:
        if found["metadata"]["name"].startswith(SPACE):
            client.delete(f"/api/v1/namespaces/{found['metadata']['name']}")
    # While there is a node, so that other tests find none of these pods.
    eventually(
        lambda: client.get("/api/v1/pods")["items"],
        lambda pods: not any(pod["metadata"]["namespace"].startswith(SPACE) for pod in pods),
    )
    client.delete("/api/v1/nodes/failures")
    client.close()


@pytest.fixture(scope="module")
def ended(plane: Plane, own: Kubernetes) -> tuple[str, list[Call]]:
    """Return what a run over all of them says when its time is over, and the requests it made."""

    def decide(call: Call) -> Verdict:
        """Answer for logs as a kubelet would: kwok has none."""
        return Answer(200, LOG.encode()) if call.path.endswith("/log") else Pass()

    assert own.get("/api/v1/nodes/failures")
    with Proxy.before(plane.control_plane, decide) as proxy:
        cluster = proxy.client()
        applying = Application(
            cluster, set_name="failures", manifests=load(failing()), options=Options(timeout=15)
        )
        with pytest.raises(ApplyError) as caught:
            applying.run(applying.plan(), progress=lambda _: None)
        cluster.close()
        return str(caught.value), list(proxy.calls)


def about(text: str, what: str) -> list[str]:
    """Return the lines about one object, the one that names it first."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{what} "))
    rest = lines[start + 1 :]
    more = next((number for number, line in enumerate(rest) if not line.startswith("    ")), len(rest))
    return [lines[start], *rest[:more]]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (f"Deployment {SPACE}/image", ["ImagePullBackOff (example.org/main:1)", "not found"]),
        (
            f"Deployment {SPACE}/crash",
            ["CrashLoopBackOff (exit 1, ", "restart", "image example.org/main:1", "its log: starting"],
        ),
        (f"Deployment {SPACE}/oom", ["exit 137 OOMKilled"]),
        (f"Deployment {SPACE}/slow", ["main: ContainerCreating, image example.org/main:1"]),
        (
            f"Deployment {SPACE}/unbound",
            [
                "unbound immediate PersistentVolumeClaims",
                "claim data is Pending: its storage class fast does not exist; there is none",
                "ProvisioningFailed",
            ],
        ),
        (f"PersistentVolumeClaim {SPACE}/data", ["its storage class fast does not exist"]),
        (f"Deployment {SPACE}/roomless", ["1 Insufficient memory"]),
        (
            f"Deployment {STRICT}/strict",
            ["its pods are refused by the PodSecurity level restricted of their namespace: allowPrivilege"],
        ),
        (
            f"Deployment {SPACE}/hooked",
            ["its pods need the webhook hook.example.org, which cannot be called: ", "connection refused"],
        ),
        (f"Job {SPACE}/job", ["failed: Job has reached the specified backoff limit", "exit 137"]),
    ],
)
def test_a_run_that_gives_up_tells_why(ended: tuple[str, list[Call]], what: str, expected: list[str]) -> None:
    """Of each object what a person has to know, in at most ten lines."""
    text = about(ended[0], what)
    assert len(text) <= 10
    for each in expected:
        assert each in "\n".join(text)


def test_pods_that_fail_have_the_events_of_a_kubelet(ended: tuple[str, list[Call]], own: Kubernetes) -> None:
    """So that whoever looks with kubectl sees what a real cluster would show."""
    assert ended
    told = {
        (event["involvedObject"]["name"].partition("-")[0], event["reason"], event["message"])
        for event in own.get(f"/api/v1/namespaces/{SPACE}/events")["items"]
        if event["involvedObject"]["kind"] == "Pod" and event["type"] == "Warning"
    }
    back_off = "Back-off restarting failed container"
    assert {("crash", "BackOff", back_off), ("oom", "BackOff", back_off)} <= told
    assert ("image", "Failed", "Error: ImagePullBackOff") in told


def test_it_says_how_many_nodes_would_do(ended: tuple[str, list[Call]]) -> None:
    """Where memory is short."""
    assert "There are 1 nodes of s-4vcpu-8gb; 2 would hold everything: set node_count" in ended[0]


def test_nothing_secret_is_told(ended: tuple[str, list[Call]]) -> None:
    """Neither the environment, nor what a program writes of a password."""
    assert CANARY not in ended[0]
    assert "its log: password=*** was refused" in ended[0]


def test_few_requests_are_made_for_it(ended: tuple[str, list[Call]]) -> None:
    """They do not grow with the number of objects that are not ready."""
    paths = [call.path for call in ended[1]]
    assert sum(path.endswith("/events") for path in paths) == 2
    assert sum(path.endswith("/log") for path in paths) <= 4
    assert paths.count(f"/api/v1/namespaces/{SPACE}/persistentvolumeclaims") == 1
    assert paths.count("/apis/storage.k8s.io/v1/storageclasses") == 1


def test_logs_that_cannot_be_had_are_left_out(ended: tuple[str, list[Call]], own: Kubernetes) -> None:
    """As in a rehearsal, which has no kubelets: the rest is told."""
    assert ended
    pods = Pods()
    resource = own.resources().find("", "v1", "Pod")
    assert resource is not None
    for pod in own.get(f"/api/v1/namespaces/{SPACE}/pods")["items"]:
        pods.see(Seen(resource, pod))
    manifests = load([found for found in failing() if found["metadata"]["name"] == "crash"])
    found = evidence.collect(own, manifests, pods)
    assert found.logs == {}
    assert "CrashLoopBackOff (exit 1" in telling.lines(manifests[0], found, pods)[0]


def run(own: Kubernetes, objects: list[dict[str, Any]], progress: Callable[[str], None]) -> Summary:
    """Apply a set of its own and return its summary."""
    applying = Application(own, set_name="recovering", manifests=load(objects), options=Options(timeout=90))
    return applying.run(applying.plan(), progress=progress)


def test_what_fails_is_waited_for_and_recovers_by_itself(own: Kubernetes) -> None:
    """The live line says what is wrong; once it is mended the run ends well, with nothing done by hand."""
    space = "failures-mended"
    said: list[str] = []

    def mend(line: str) -> None:
        """Take the annotations away once each has failed in its way."""
        waits = ("main: ImagePullBackOff (", "main: CrashLoopBackOff (exit 1, ", "(exit 137 OOMKilled, ")
        if all(reason in line for reason in waits) and not said:
            said.append(line)
            for pod in own.get(f"/api/v1/namespaces/{space}/pods")["items"]:
                path = f"/api/v1/namespaces/{space}/pods/{pod['metadata']['name']}"
                own.patch(path, {"metadata": {"annotations": {FAILS: None}}})

    fails = ("ImagePullBackOff", "CrashLoopBackOff", "OOMKilled")
    objects = [annotated(kind.lower(), space, annotations={FAILS: kind}) for kind in fails]
    assert run(own, [namespace(space), *objects], mend).created == 4
    assert said
    containers = {
        pod["metadata"]["labels"]["app"]: pod["status"]["containerStatuses"][0]
        for pod in own.get(f"/api/v1/namespaces/{space}/pods")["items"]
    }
    assert all(found["ready"] for found in containers.values())
    restarted = {name for name, found in containers.items() if found["restartCount"]}
    assert restarted == {"crashloopbackoff", "oomkilled"}


def test_clients_of_a_late_database_crash_until_it_is_there(own: Kubernetes) -> None:
    """The stand-in lets them go on then, and the run with them."""
    space = "failures-database"
    world = World(own)
    running = threading.Event()
    thread = threading.Thread(
        target=world.run, args=([dependencies(realistic=True)],), kwargs={"ready": running.set}
    )
    thread.start()
    running.wait(60)
    said: list[str] = []
    objects = [
        namespace(space),
        annotated("mysql", space, annotations={PULL: "8s"}),
        annotated("client", space, annotations={NEEDS: "mysql"}),
    ]
    summary = run(own, objects, said.append)
    world.stop()
    thread.join()
    assert summary.created == 3
    assert any(f"{space}/client (main: CrashLoopBackOff (exit 1, 1 restart))" in line for line in said)
