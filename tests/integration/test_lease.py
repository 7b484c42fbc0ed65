"""One run at a time, on a real API server: who waits, who takes over, and who has to stop."""

from __future__ import annotations

import contextlib
import itertools
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration import engine_runs
from tests.integration.planes import eventually
from tests.integration.processes import ended, go_on, line
from tests.unit.engine.objects import config_map, namespace, service

from tideflow.engine import lease
from tideflow.engine.applying import Application, Options
from tideflow.engine.manifests import load
from tideflow.engine.records import Record, Records, make_namespace
from tideflow.errors import ApplyError, KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.planes import Plane
    from tests.integration.processes import Processes

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.plan import Plan

LEASES = "/apis/coordination.k8s.io/v1/namespaces/tideflow/leases"

# In the process that holds the Lease: it says that it does, and goes on with the next line of its input.
HOLDING = """
lease.DURATION = 2
enter = lease.Lease.__enter__
def entering(self):
    enter(self)
    print("holding", flush=True)
    sys.stdin.readline()
    return self
lease.Lease.__enter__ = entering
"""


@pytest.fixture
def space(cluster: Kubernetes, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return a name of the test's own for a namespace and a set; what is in them goes after the test."""
    make_namespace(cluster)
    name = f"l{abs(hash(request.node.name)) % 10**8}"
    yield name
    for path in (
        f"/api/v1/namespaces/{name}",
        f"/api/v1/namespaces/tideflow/configmaps/{name}-0",
        f"{LEASES}/tideflow-{name}",
    ):
        with contextlib.suppress(KubernetesError):
            cluster.delete(path)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Leases of this process last two seconds."""
    monkeypatch.setattr(lease, "DURATION", 2)


def prepared(
    cluster: Kubernetes, set_name: str, objects: list[dict[str, Any]], **options: Any
) -> Application:
    """Return an application of the objects."""
    return Application(
        cluster,
        set_name=set_name,
        manifests=load(objects),
        options=Options(**{"timeout": 60, **options}),
    )


def apply(cluster: Kubernetes, set_name: str, objects: list[dict[str, Any]], **options: Any) -> Plan:
    """Apply a set, and return what was planned."""
    return engine_runs.apply(cluster, objects, set_name=set_name, **options)


def held(cluster: Kubernetes, set_name: str) -> dict[str, Any] | None:
    """Return the Lease of a set, if there is one."""
    try:
        found: dict[str, Any] = cluster.get(f"{LEASES}/tideflow-{set_name}")
    except KubernetesError as error:
        assert error.status == 404  # noqa: PT017 - whatever else is wrong
        return None
    return found


def foreign(
    set_name: str, *, seconds: int = 2, renewed: str = "2000-01-01T00:00:00.000000Z"
) -> dict[str, Any]:
    """Return a Lease that somebody else has, whose clock says what it likes."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": f"tideflow-{set_name}", "namespace": "tideflow"},
        "spec": {
            "holderIdentity": "ann@laptop (pid 7) abcd",
            "leaseDurationSeconds": seconds,
            "acquireTime": renewed,
            "renewTime": renewed,
        },
    }


def test_only_a_run_that_writes_takes_the_lease(plane: Plane, cluster: Kubernetes, space: str) -> None:
    """It is created and given back; a run with nothing to write makes no request about it."""
    objects = [namespace(space), config_map("a", space, x="1")]
    mark = len(plane.audited())
    apply(cluster, space, objects)
    assert held(cluster, space) is None

    def verbs(since: int) -> list[str]:
        events = [event for event in plane.audited()[since:] if "/leases" in event["requestURI"]]
        return [event["verb"] for event in events if event["verb"] != "get"]

    eventually(lambda: verbs(mark), lambda found: found == ["create", "delete"])
    mark = len(plane.audited())
    assert not apply(cluster, space, objects).writes
    cluster.get(f"/api/v1/namespaces/{space}")
    eventually(lambda: plane.audited()[mark:], lambda found: any(space in one["requestURI"] for one in found))
    assert not any("/leases" in event["requestURI"] for event in plane.audited()[mark:])


def test_lease_and_records_keep_to_the_budget_of_requests(
    plane: Plane, cluster: Kubernetes, space: str
) -> None:
    """A first install makes at most one for each object, 2 for each type and 20; a rerun types + 7."""
    objects = [namespace(space), *(config_map(f"c{number}", space, x="1") for number in range(20))]
    objects.append(service("s", space))

    def counted(mark: int) -> int:
        # A request of our own comes last; with it, all that were made before are in the log.
        cluster.get("/version", query={"mark": f"{mark}"})
        events = eventually(
            lambda: plane.audited()[mark:],
            lambda found: any(f"/version?mark={mark}" in event["requestURI"] for event in found),
        )
        return len(events) - 1

    for most in (len(objects) + 2 * 3 + 20, 3 + 1 + 6):
        mark = len(plane.audited())
        apply(cluster, space, objects)
        assert counted(mark) <= most


def test_two_runs_at_once_write_each_object_once(plane: Plane, processes: Processes, space: str) -> None:
    """Both have planned to create everything; the second waits, plans again, and has nothing to do."""
    objects = [namespace(space), *(config_map(f"c{number}", space, x="1") for number in range(30))]
    mark = len(plane.audited())
    # Each says that it has planned, and goes on when it is told to.
    planned = "print('planned', flush=True); sys.stdin.readline()"
    runs = [processes.start(objects, planned=planned, set_name=space) for _ in range(2)]
    assert [line(process) for process in runs] == ["planned\n", "planned\n"]
    for process in runs:
        go_on(process)
    said = [ended(process) for process in runs]
    assert [code for code, _ in said] == [0, 0], said
    summaries = sorted(printed.splitlines()[-1].partition(" in ")[0] for _, printed in said)
    assert summaries == [
        "0 created, 0 changed, 31 unchanged, 0 pruned",
        "31 created, 0 changed, 0 unchanged, 0 pruned",
    ]

    def written() -> list[str]:
        events = [event for event in plane.audited()[mark:] if event["verb"] == "patch"]
        return [event["requestURI"] for event in events if f"/namespaces/{space}" in event["requestURI"]]

    assert len(eventually(written, lambda found: len(found) >= 31)) == 31
    assert len(set(written())) == 31


@pytest.mark.usefixtures("quick")
def test_the_second_run_waits_and_says_for_whom(
    processes: Processes, cluster: Kubernetes, space: str
) -> None:
    """User, host, process and age are on the live line; the first run's Lease outlives its duration."""
    objects = [namespace(space), config_map("a", space, x="1")]
    first = processes.start(objects, first=HOLDING, set_name=space)
    assert line(first) == "holding\n"
    before = held(cluster, space)
    assert before is not None
    eventually(
        lambda: (held(cluster, space) or before)["spec"]["renewTime"],
        lambda at: at != before["spec"]["renewTime"],
    )
    applying = prepared(cluster, space, objects)
    plan = applying.plan()
    said: list[str] = []

    def progress(text: str) -> None:
        said.append(text)
        if len(said) == 8:  # the Lease has been renewed several times by then
            go_on(first)

    summary = applying.run(plan, progress=progress)
    assert ended(first)[0] == 0
    assert (summary.created, summary.unchanged) == (0, 2)
    assert f"@{socket.gethostname()} (pid {first.pid}), begun " in said[0]
    assert " s ago, has ended" in said[0]


@pytest.mark.usefixtures("quick")
def test_or_it_fails_if_that_is_wanted(processes: Processes, cluster: Kubernetes, space: str) -> None:
    """As soon as the holder has shown that it lives; waiting too has an end."""
    objects = [namespace(space)]
    first = processes.start(objects, first=HOLDING, set_name=space)
    assert line(first) == "holding\n"
    applying = prepared(cluster, space, objects, busy="fail")
    plan = applying.plan()
    with pytest.raises(ApplyError, match=rf"\(pid {first.pid}\), begun .* works on {space} too"):
        applying.run(plan, progress=lambda _: None)
    applying = prepared(cluster, space, objects, timeout=1)
    plan = applying.plan()
    with pytest.raises(ApplyError, match=f"works on {space} too, and nothing was written"):
        applying.run(plan, progress=lambda _: None)
    first.send_signal(signal.SIGKILL)
    ended(first)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("busy", ["wait", "fail"])
def test_a_dead_holders_lease_is_taken_over(
    processes: Processes, cluster: Kubernetes, space: str, busy: str
) -> None:
    """Killed, it is silent for as long as its Lease lasts; then the rerun does all that is left."""
    objects = [namespace(space), config_map("a", space, x="1")]
    first = processes.start(objects, first=HOLDING, set_name=space)
    assert line(first) == "holding\n"
    first.send_signal(signal.SIGKILL)
    ended(first)
    assert held(cluster, space) is not None
    assert len(apply(cluster, space, objects, busy=busy).created) == 2
    assert held(cluster, space) is None
    assert not apply(cluster, space, objects).writes


def test_a_holder_that_stalled_and_lost_its_lease_stops_writing(
    processes: Processes, cluster: Kubernetes, space: str
) -> None:
    """Stopped for longer than the Lease lasts, and continued after a takeover, it says why it ends."""
    newer = [namespace(space), *(config_map(f"c{number}", space, x="stalled") for number in range(20))]
    older = [namespace(space), *(config_map(f"c{number}", space, x="1") for number in range(20))]
    # It stalls in the middle of its writes.
    stalling = (
        HOLDING
        + """
write, made = writing.Writing.write, []
def stall(self, manifest, resource):
    made.append(manifest)
    if len(made) == 12:
        os.kill(os.getpid(), 19)
    return write(self, manifest, resource)
writing.Writing.write = stall
"""
    )
    apply(cluster, space, older)
    first = processes.start(newer, first=stalling, set_name=space)
    assert line(first) == "holding\n"
    go_on(first)
    stat = Path(f"/proc/{first.pid}/stat")
    eventually(lambda: stat.read_text().rpartition(")")[2].split()[0], lambda state: state == "T")
    assert apply(cluster, space, older).writes
    mark = versions(cluster, space)
    first.send_signal(signal.SIGCONT)
    code, printed = ended(first)
    assert code == 1
    assert f"this run writes nothing more to {space}: its Lease tideflow/tideflow-{space} is gone" in printed
    changed = {name for name, version in versions(cluster, space).items() if mark[name] != version}
    # Requests on the wire when it stood still cannot be taken back; none is made afterwards.
    assert len(changed) <= 8
    apply(cluster, space, older)
    assert {one["data"]["x"] for one in config_maps(cluster, space)} == {"1"}


def config_maps(cluster: Kubernetes, space: str) -> list[dict[str, Any]]:
    """Return the ConfigMaps of the tests."""
    items = cluster.get(f"/api/v1/namespaces/{space}/configmaps")["items"]
    return [item for item in items if item["metadata"]["name"].startswith("c")]


def versions(cluster: Kubernetes, space: str) -> dict[str, str]:
    """Return the resourceVersions of the ConfigMaps, by name."""
    return {
        item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in config_maps(cluster, space)
    }


@pytest.mark.usefixtures("quick")
def test_expiry_is_judged_by_what_is_seen_and_not_by_clocks(cluster: Kubernetes, space: str) -> None:
    """A live holder whose clock is decades behind keeps its Lease; a silent one from the future loses it."""
    cluster.post(LEASES, foreign(space))
    objects = [namespace(space)]
    applying = prepared(cluster, space, objects, timeout=5)
    plan = applying.plan()
    renewals = itertools.count(1)

    def renewing(_: str) -> None:
        live = cluster.get(f"{LEASES}/tideflow-{space}")
        live["spec"]["renewTime"] = f"2000-01-01T00:00:00.{next(renewals):06}Z"
        cluster.put(f"{LEASES}/tideflow-{space}", live)

    with pytest.raises(ApplyError, match=r"the run of ann@laptop \(pid 7\), begun .* min ago, works on"):
        applying.run(plan, progress=renewing)
    assert (held(cluster, space) or {})["spec"]["holderIdentity"].startswith("ann@laptop")

    future = foreign(space, renewed="2100-01-01T00:00:00.000000Z")
    cluster.patch(f"{LEASES}/tideflow-{space}", {"spec": future["spec"]})
    assert apply(cluster, space, objects).created
    assert held(cluster, space) is None


def test_a_lease_without_a_holder_is_free(cluster: Kubernetes, space: str) -> None:
    """Others give Leases back by taking their name out."""
    given_back = foreign(space, seconds=3600)
    given_back["spec"]["holderIdentity"] = ""
    cluster.post(LEASES, given_back)
    assert apply(cluster, space, [namespace(space)], timeout=5).created


@pytest.mark.usefixtures("quick")
def test_a_note_on_a_lease_does_not_take_it_away(cluster: Kubernetes, space: str) -> None:
    """It has another resourceVersion then; the holder sees that it is still the holder."""
    with lease.Lease(cluster, space, Options(busy="fail"), progress=lambda _: None) as ours:
        before = held(cluster, space)
        cluster.patch(f"{LEASES}/tideflow-{space}", {"metadata": {"annotations": {"note": "1"}}})
        eventually(
            lambda: held(cluster, space),
            lambda live: (
                live is not None and live["spec"]["renewTime"] != (before or live)["spec"]["renewTime"]
            ),
        )
        ours.check()
        assert (held(cluster, space) or {})["metadata"]["annotations"] == {"note": "1"}
    assert held(cluster, space) is None


@pytest.mark.usefixtures("quick")
def test_a_lease_that_somebody_deletes_is_lost(
    cluster: Kubernetes, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may have begun by then, so nothing more is written, even without a stall."""
    objects = [namespace(space), config_map("a", space, x="1")]
    applying = prepared(cluster, space, objects)
    plan = applying.plan()

    entered: list[lease.Lease] = []
    enter = lease.Lease.__enter__

    def entering(self: lease.Lease) -> lease.Lease:
        entered.append(self)
        return enter(self)

    def breaking(_: Plan) -> None:
        cluster.delete(f"{LEASES}/tideflow-{space}")
        eventually(lambda: is_lost(entered[0]))

    monkeypatch.setattr(lease.Lease, "__enter__", entering)
    with pytest.raises(KubernetesError, match=f"its Lease tideflow/tideflow-{space} is gone"):
        applying.run(plan, progress=lambda _: None, before=breaking)
    with pytest.raises(KubernetesError, match="404"):
        cluster.get(f"/api/v1/namespaces/{space}")


def is_lost(found: lease.Lease) -> bool:
    """Tell whether the Lease is known to be lost."""
    try:
        found.refuse_lost()
    except KubernetesError as error:
        return error.reason == lease.LOST
    return False


def test_what_another_run_recorded_since_the_plan_is_planned_again(cluster: Kubernetes, space: str) -> None:
    """A run that came and went between plan and write leaves no Lease, but its records."""
    objects = [namespace(space), config_map("a", space, x="1")]
    applying = prepared(cluster, space, objects)
    plan = applying.plan()
    assert len(plan.created) == 2
    apply(cluster, space, objects)
    seen: list[Plan] = []
    summary = applying.run(plan, progress=lambda _: None, before=seen.append)
    assert (summary.created, summary.changed, summary.unchanged) == (0, 0, 2)
    assert [found.writes for found in seen] == [False]


@pytest.fixture
def held_namespace(cluster: Kubernetes) -> Iterator[Callable[[], None]]:
    """Have the namespace of records be deleted and held by a finalizer; yield what lets it go."""
    path = "/api/v1/namespaces/tideflow/configmaps"
    make_namespace(cluster)
    cluster.post(path, {"metadata": {"name": "holds", "finalizers": ["example.org/holds"]}})

    def let_go() -> None:
        with contextlib.suppress(KubernetesError):
            cluster.patch(f"{path}/holds", {"metadata": {"finalizers": None}})

    cluster.delete("/api/v1/namespaces/tideflow")
    yield let_go
    let_go()


def gone(cluster: Kubernetes) -> bool:
    """Tell whether the namespace of records is."""
    try:
        cluster.get("/api/v1/namespaces/tideflow")
    except KubernetesError as error:
        return error.status == 404
    return False


def test_a_namespace_of_records_that_goes_is_waited_for_and_made_anew(
    cluster: Kubernetes, space: str, held_namespace: Callable[[], None]
) -> None:
    """Nothing is written before; a run that has no time says what it waited for."""
    objects = [namespace(space), config_map("a", space, x="1")]
    applying = prepared(cluster, space, objects, timeout=1)
    plan = applying.plan()
    with pytest.raises(
        ApplyError, match=r"^the namespace tideflow, .* is being deleted, and is not gone after"
    ):
        applying.run(plan, progress=lambda _: None)
    with pytest.raises(KubernetesError, match="404"):
        cluster.get(f"/api/v1/namespaces/{space}")

    said: list[str] = []

    def hear(text: str) -> None:
        said.append(text)
        held_namespace()

    applying = prepared(cluster, space, objects)
    summary = applying.run(applying.plan(), progress=hear)
    assert summary.created == 2
    assert said[0].startswith("waiting until the namespace tideflow is gone")
    assert not apply(cluster, space, objects).writes


def test_a_namespace_of_records_that_went_since_the_plan_is_made_anew(
    cluster: Kubernetes, space: str
) -> None:
    """What the records proved is applied once more."""
    objects = [namespace(space), config_map("a", space, x="1")]
    apply(cluster, space, objects)
    applying = prepared(cluster, space, [*objects, config_map("b", space, x="1")])
    plan = applying.plan()
    cluster.delete("/api/v1/namespaces/tideflow")
    eventually(lambda: gone(cluster))
    summary = applying.run(plan, progress=lambda _: None)
    assert (summary.created, summary.changed) == (1, 2)


def test_who_may_not_write_namespaces_needs_the_one_of_records_to_be_there(
    cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else may have made it."""
    make_namespace(cluster)
    forbidden = KubernetesError("no", status=403)

    def refused(*_: object, **__: object) -> None:
        raise forbidden

    monkeypatch.setattr(cluster, "apply", refused)
    make_namespace(cluster)
    monkeypatch.setattr(cluster, "get", refused)
    with pytest.raises(KubernetesError) as caught:
        make_namespace(cluster)
    assert caught.value is forbidden


def test_lines_of_records_are_never_in_no_shard(
    cluster: Kubernetes, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two shards, whether they grow or shrink, no object is lost from the record."""
    monkeypatch.setattr("tideflow.engine.records._LARGEST", 400)
    keys = [found.key for found in load([config_map(f"c{number:02}", space) for number in range(12)])]
    few = {key: Record("u", "o") for key in keys[3:]}
    many = {key: Record("u", "o") for key in keys}
    path = "/api/v1/namespaces/tideflow/configmaps"
    for before, after in ((few, many), (many, few)):
        Records(cluster, space).write(before)
        remembered = Records(cluster, space)
        remembered.read()
        calls = 0
        patched = type(cluster).apply

        def dying(self: Kubernetes, where: str, body: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise KubernetesError("killed", status=400)
            return patched(self, where, body, **more)  # noqa: B023 - the same in each round

        with monkeypatch.context() as patch:
            patch.setattr(type(cluster), "apply", dying)
            with pytest.raises(KubernetesError, match="killed"):
                remembered.write(after)
        assert Records(cluster, space).read().keys() >= few.keys()
        final = Records(cluster, space)
        final.read()
        final.write(after)
        assert list(Records(cluster, space).read()) == list(after)
    remembered = Records(cluster, space)
    remembered.read()
    for name in sorted(remembered._shards):
        cluster.delete(f"{path}/{name}")
