"""Watches of a real API server that are cut, refused, outdated or silent: nothing is lost or repeated."""

from __future__ import annotations

import threading
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.planes import eventually
from tests.integration.proxying import Answer, Cut, Pass, Proxy, refusal
from tests.unit.engine.objects import config_map, deployment, namespace

from tideflow.engine import watching
from tideflow.engine.applying import Application, Options
from tideflow.engine.manifests import load
from tideflow.engine.watching import Listed, Seen, Watching

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.planes import Plane
    from tests.integration.proxying import Call, Verdict

    from tideflow.clients.kubernetes import Kubernetes

SPACE = "watching"
CONFIG_MAPS = f"/api/v1/namespaces/{SPACE}/configmaps"


class Watched:
    """ConfigMaps that are watched through a proxy, and what was said of those in the test's namespace."""

    def __init__(self, proxy: Proxy, through: Kubernetes, own: Kubernetes) -> None:
        self.proxy = proxy
        self.own = own
        self._queue: Queue[Any] = Queue()
        self._watching = Watching(through, self._queue)
        resource = own.resources().find("", "v1", "ConfigMap")
        assert resource is not None
        self._resource = resource

    def start(self) -> None:
        """Begin, and wait for the first list."""
        self._watching.add(self._resource)
        self.until_listed()

    def opened(self) -> None:
        """Wait until the watch is open."""
        eventually(self.proxy.streams)

    def cut(self) -> None:
        """Cut the watch, once it is open."""
        eventually(self.proxy.cut_streams)

    def stop(self) -> None:
        """End."""
        self._watching.stop()

    def create(self, name: str) -> None:
        """Make a ConfigMap, not through the proxy."""
        self.own.post(CONFIG_MAPS, config_map(name, SPACE))

    def delete(self, name: str) -> None:
        """Delete one."""
        self.own.delete(f"{CONFIG_MAPS}/{name}")

    def until(self, name: str, *, gone: bool = False) -> list[tuple[str, bool]]:
        """Return what was said, up to this."""
        said: list[tuple[str, bool]] = []
        while (name, gone) not in said:
            news = self._queue.get(timeout=60)
            if isinstance(news, Seen) and news.live["metadata"]["namespace"] == SPACE:
                said.append((news.live["metadata"]["name"], news.gone))
        return said

    def until_listed(self) -> tuple[list[str], set[str]]:
        """Return what was said up to the end of the next list, and the names in the list."""
        said: list[str] = []
        while not isinstance(news := self._queue.get(timeout=60), Listed):
            if news.live["metadata"]["namespace"] == SPACE:
                said.append(news.live["metadata"]["name"])
        return said, {name for space, name in news.places if space == SPACE}

    def lists(self) -> int:
        """Return how often ConfigMaps were listed."""
        return len(self.proxy.seen(lambda call: call.is_list and call.path == "/api/v1/configmaps"))


@pytest.fixture
def watched(plane: Plane) -> Iterator[Watched]:
    """Yield ConfigMaps to be watched through a proxy that lets everything pass at first."""
    own = plane.client()
    own.apply(f"/api/v1/namespaces/{SPACE}", namespace(SPACE), field_manager="test")
    with Proxy.before(plane.control_plane, lambda _: Pass()) as proxy:
        through = proxy.client()
        watched = Watched(proxy, through, own)
        yield watched
        watched.stop()
        through.close()
    own.delete(CONFIG_MAPS)
    own.close()


def unless_watch(verdict: Verdict, *, times: int) -> Any:
    """Return a hook that has the first watches answered like this, and lets everything else pass."""
    left = [verdict] * times

    def decide(call: Call) -> Verdict:
        return left.pop() if call.is_watch and left else Pass()

    return decide


def test_a_watch_that_was_cut_goes_on_from_where_it_was(watched: Watched) -> None:
    """What happens between is told once, and nothing is listed again."""
    watched.start()
    watched.create("before")
    watched.until("before")
    blocked = threading.Event()

    def decide(call: Call) -> Verdict:
        if call.is_watch:
            blocked.wait(60)
        return Pass()

    watched.proxy.decide = decide
    watched.cut()
    watched.create("between")
    watched.delete("before")
    blocked.set()
    assert watched.until("before", gone=True) == [("between", False), ("before", True)]
    assert watched.lists() == 1


def test_a_server_that_is_away_for_a_while_costs_no_list(watched: Watched) -> None:
    """Resets and refusals are tried again from the same version."""
    watched.start()
    watched.create("before")
    watched.until("before")
    watched.proxy.decide = unless_watch(Answer(503, refusal(503, "ServiceUnavailable")), times=1)
    watched.cut()
    watched.create("after")
    assert watched.until("after") == [("after", False)]
    watched.proxy.decide = unless_watch(Cut(), times=2)
    watched.cut()
    watched.create("later")
    assert watched.until("later") == [("later", False)]
    assert watched.lists() == 1


@pytest.mark.parametrize("in_the_stream", [False, True])
def test_after_a_410_a_list_tells_what_changed_and_what_is_gone(
    watched: Watched, *, in_the_stream: bool
) -> None:
    """And nothing of what is as it was: a list of thousands does not flood whoever listens."""
    for name in ("stays", "goes"):
        watched.create(name)
    watched.start()
    watched.opened()
    gone = refusal(410, "Expired", "too old resource version")
    verdict = Answer(200, {"type": "ERROR", "object": gone}) if in_the_stream else Answer(410, gone)
    happened = threading.Event()
    once = unless_watch(verdict, times=1)

    def decide(call: Call) -> Verdict:
        happened.wait(60)
        found: Verdict = once(call)
        return found

    watched.proxy.decide = decide
    watched.cut()
    watched.delete("goes")
    watched.create("comes")
    happened.set()
    said, there = watched.until_listed()
    assert said == ["comes"]
    assert there - {"kube-root-ca.crt"} == {"stays", "comes"}
    watched.create("next")
    assert watched.until("next") == [("next", False)]
    assert watched.lists() == 2


def test_bookmarks_keep_the_version_fresh(watched: Watched) -> None:
    """A type where nothing changes goes on from the last bookmark, not from a version long compacted."""
    marks: list[str] = []

    def decide(call: Call) -> Verdict:
        """Answer the first watch with a bookmark of what the server has meanwhile."""
        if not call.is_watch or marks:
            return Pass()
        changed = {"metadata": {"labels": {"changed": str(call.number)}}}
        watched.own.patch(f"/api/v1/namespaces/{SPACE}", changed)
        version = watched.own.get("/api/v1/namespaces")["metadata"]["resourceVersion"]
        marks.append(version)
        mark = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"resourceVersion": version}}
        return Answer(200, {"type": "BOOKMARK", "object": mark})

    watched.proxy.decide = decide
    watched.start()
    first, second = eventually(
        lambda: watched.proxy.seen(lambda call: call.is_watch), lambda calls: len(calls) == 2
    )
    assert first.query["allowWatchBookmarks"] == "true"
    assert second.query["resourceVersion"] == marks[0] != first.query["resourceVersion"]
    assert watched.lists() == 1


def test_a_server_sends_bookmarks(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it ends a watch, this one does: the next goes on from there although nothing was changed."""
    monkeypatch.setattr(watching, "_LENGTH", 4)
    watched.own.post("/api/v1/namespaces", namespace("unwatched"))
    watched.start()
    watched.own.delete("/api/v1/namespaces/unwatched")
    first, second = eventually(
        lambda: watched.proxy.seen(lambda call: call.is_watch)[:2], lambda calls: len(calls) == 2
    )
    assert int(second.query["resourceVersion"]) >= int(first.query["resourceVersion"])
    assert watched.lists() == 1


def test_a_slow_re_read_finds_what_no_watch_told(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that stays open and silent is not trusted for ever."""
    monkeypatch.setattr(watching, "_REREAD", 4.0)
    monkeypatch.setattr(watching, "_SILENCE", 2.0)
    silent = threading.Event()

    def decide(call: Call) -> Verdict:
        if call.is_watch:
            silent.wait(60)
        return Pass()

    watched.proxy.decide = decide
    watched.create("goes")
    watched.start()
    watched.delete("goes")
    watched.create("comes")
    said, there = watched.until_listed()
    silent.set()
    assert said == ["comes"]
    assert "goes" not in there


def test_what_is_deleted_while_watches_are_down_is_not_called_ready(plane: Plane) -> None:
    """A run notices after the list that it is gone, makes it again, and says so."""
    space = "watching-gone"
    own = plane.client()
    room = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    own.post(
        "/api/v1/nodes",
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "watching"},
            "status": {"capacity": room, "allocatable": room},
        },
    )
    path = f"/apis/apps/v1/namespaces/{space}/deployments"
    held = deployment("held", space, nodeSelector={"free": "yes"})
    objects = [namespace(space), deployment("gone", space), held]
    expired = threading.Event()

    def decide(call: Call) -> Verdict:
        """Once the watch of Deployments is cut, answer 410 to it, once."""
        if call.is_watch and call.path == "/apis/apps/v1/deployments" and cut.is_set():
            expired.wait(60)
            if not answered.is_set():
                answered.set()
                return Answer(410, refusal(410, "Expired"))
        return Pass()

    cut, answered, again = threading.Event(), threading.Event(), threading.Event()

    def progress(line: str) -> None:
        """Cut and delete once it is ready; let the other go on once it is back."""
        if not cut.is_set() and f"{space}/gone" not in line and f"{space}/held" in line:
            cut.set()
            proxy.cut_streams(lambda call: call.path == "/apis/apps/v1/deployments")
            own.delete(f"{path}/gone")
            expired.set()
        elif cut.is_set() and not again.is_set():
            there = [found["metadata"]["name"] for found in own.get(path)["items"]]
            if "gone" in there:
                again.set()
                own.patch("/api/v1/nodes/watching", {"metadata": {"labels": {"free": "yes"}}})

    with Proxy.before(plane.control_plane, decide) as proxy:
        cluster = proxy.client()
        applying = Application(
            cluster, set_name="watching", manifests=load(objects), options=Options(timeout=90)
        )
        summary = applying.run(applying.plan(), progress=progress)
        cluster.close()
    assert again.is_set()
    assert summary.notes == (f"Deployment {space}/gone was deleted by somebody meanwhile, and is made again",)
    own.delete(f"/api/v1/namespaces/{space}")
    eventually(lambda: own.get(f"/api/v1/namespaces/{space}/pods")["items"], lambda pods: not pods)
    own.delete("/api/v1/nodes/watching")
    own.close()
