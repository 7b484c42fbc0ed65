"""Whatever goes wrong, and whenever a teardown is killed: reruns leave nothing billed, but what is kept.

The twin's API is real and listened to; its clusters have no control planes, and time passes as it is told to.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from tests.unit.rehearsal.twin.calling import TOKEN, listening
from tests.unit.rehearsal.twin.passing import World
from tests.unit.rehearsal.twin.test_resources import PODS, SERVICES, VOLUMES, pod, service, volume
from typing_extensions import override

from tideflow.clients import billed
from tideflow.clients.digitalocean import DigitalOcean
from tideflow.clients.patience import PATIENCE
from tideflow.errors import ApplyError, DigitalOceanError, SettingError, TideflowError
from tideflow.operations.journal import Journal
from tideflow.operations.removal import Removal, Sight
from tideflow.rehearsal.twin.resources import Balancer, Snapshot, Volume
from tideflow.rehearsal.twin.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tideflow.clients.billed import LoadBalancer

GONE = "11111111-1111-4111-8111-111111111111"
"""A cluster of somebody else's, which left things behind."""

NEVER = 10**6
MINUTES = 60.0


class KilledError(BaseException):
    """The process is no more."""


class Mortal(DigitalOcean):
    """A client whose process is killed around a request: before it is sent, or before its answer is read."""

    dies_at = NEVER
    unsent = False
    requests = 0

    @override
    def _call(self, *args: Any, **kwargs: Any) -> Any:
        self.requests += 1
        if self.requests == self.dies_at and self.unsent:
            raise KilledError
        answer = super()._call(*args, **kwargs)
        if self.requests == self.dies_at:
            raise KilledError
        return answer


@dataclass
class Account:
    """What a twin has: the cluster ``ml`` with what it made, and what is somebody else's."""

    world: World
    endpoint: str
    cluster: str = ""
    volumes: set[str] = field(default_factory=set)
    gone: list[str] = field(default_factory=list)

    def switch(self, **faults: Any) -> None:
        """Have these faults, and no limits: time passes too fast for those."""
        self.world.switch(**faults, requests_per_minute=NEVER, requests_per_hour=NEVER)

    def fill(self) -> None:
        """Make all of it."""
        made = self.world.running(tags=["tideflow", "tideflow:ml"])
        self.cluster = made["id"]
        node = made["node_pools"][0]["nodes"][0]["name"]
        used, idle = volume("used"), volume("idle")
        self.world.objects.lists = {
            SERVICES: [service(), service(ip="")],
            VOLUMES: [used, idle],
            PODS: [pod("used", node)],
        }
        self.volumes = {found["id"] for found in self.world.api.get("/v2/volumes").json["volumes"]}
        assert len(self.volumes) == 2
        state = self.world.state
        state.volumes["theirs"] = Volume("theirs", "theirs", GONE, "nyc3", 0.0, 5)
        # A person's own may have the nodes of our cluster behind it.
        droplets = [int(node["droplet_id"]) for node in made["node_pools"][0]["nodes"]]
        state.balancers["theirs"] = Balancer("theirs", "theirs", GONE, "nyc3", "", 0.0, droplet_ids=droplets)
        first = min(self.volumes)
        for owner, of in ((self.cluster, first), (GONE, "theirs")):
            taken = Snapshot(f"of-{of}", of, owner, "nyc3", 5)
            state.snapshots[taken.id] = taken

    def client(self, kind: type[Mortal] = Mortal) -> Mortal:
        """Return a client that tries again without waiting."""
        client = kind(TOKEN, endpoint=f"{self.endpoint}/v2/", timeout=20)
        client._session.mount(
            "http://", HTTPAdapter(max_retries=PATIENCE.new(backoff_factor=0, backoff_jitter=0))
        )
        return client

    def tear_down(
        self,
        client: DigitalOcean,
        *,
        keep: bool = False,
        snapshots: bool = False,
        timeout: float = 60 * MINUTES,
    ) -> Sight:
        """Do what the step does, with nothing but the account to remember."""
        named = frozenset(cluster.id for cluster in client.clusters() if cluster.name == "ml")
        removal = Removal(
            client, Journal.read(client, "ml"), named, keep=keep, snapshots=snapshots, gone=self.gone.append
        )
        sight = removal.look()
        if not sight.doomed and not removal.journal.clusters:
            return sight
        removal.begin()
        return removal.run(
            lambda _: None,
            timeout=timeout,
            poll=10,
            sleep=self.world.later,
            clock=lambda: self.world._passed,
        )

    def left(self) -> dict[str, set[str]]:
        """Return the ids of all that there is, without asking the API."""
        state = self.world.state
        return {
            "clusters": {*state.clusters},
            "balancers": {*state.balancers},
            "volumes": {*state.volumes},
            "snapshots": {found.volume_id for found in state.snapshots.values()},
            "tags": {*state.tags},
            "droplets": {*map(str, state.droplets)},
        }


class Serving:
    """A server for one account after another."""

    endpoint = ""
    app: Any = None

    def __call__(self, *args: Any) -> Any:
        """Have the application of now answer."""
        return self.app(*args)

    @contextmanager
    def account(self) -> Iterator[Account]:
        """Yield an account with all that a test is about."""
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr(billed, "_AGAIN", (0.0, 0.0, 0.0))
            world = World(State(Path(folder) / "state.json"), Path(folder), patch)
            self.app = world.api.application
            made = Account(world, self.endpoint)
            made.switch()
            made.fill()
            yield made


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """Listen on loopback."""
    made = Serving()
    with listening(made) as made.endpoint:  # type: ignore[arg-type] # an application like any other
        yield made


THEIRS = {"theirs"}


def test_nothing_is_left_but_what_is_others(serving: Serving) -> None:
    """Snapshots are somebody's backups and stay, unless they are to go."""
    with serving.account() as account:
        sight = account.tear_down(account.client())
        assert [(each.kind, each.id in THEIRS) for each in sight.kept] == [
            ("load balancer", True),
            ("snapshot", False),
        ]
        left = account.left()
        assert (left["clusters"], left["tags"]) == (set(), set())
        assert (left["balancers"], left["volumes"]) == (THEIRS, THEIRS)
        assert len(left["snapshots"]) == 2
    with serving.account() as account:
        account.tear_down(account.client(), snapshots=True)
        assert account.left()["snapshots"] == THEIRS


def test_kept_volumes_are_named(serving: Serving) -> None:
    """With size and price, and a command; another run finds nothing more to do, and lets them be."""
    with serving.account() as account:
        kept = account.tear_down(account.client(), keep=True).kept
        volumes = [each for each in kept if each.kind == "volume"]
        assert {each.id for each in volumes} == account.volumes
        assert "(5 GiB, $0.50 a month)" in str(volumes[0])
        assert volumes[0].by_hand == f"doctl compute volume delete {volumes[0].id}"
        assert account.tear_down(account.client()) == Sight()  # nothing to do, and nothing is known of it
        assert account.left()["volumes"] == account.volumes | THEIRS


def test_what_was_to_be_kept_once_is_kept(serving: Serving) -> None:
    """Although the rerun is not told to: nobody has to remember an argument of a run that was killed."""
    with serving.account() as account:
        dying = account.client()
        dying.dies_at = 14
        with pytest.raises(KilledError):
            account.tear_down(dying, keep=True)
        assert account.left()["tags"]
        account.tear_down(account.client())
        assert account.left()["volumes"] == account.volumes | THEIRS
        assert account.left()["tags"] == set()


def test_what_does_not_go_is_named_once_time_is_over(serving: Serving) -> None:
    """With what DigitalOcean said and how to delete it; the rerun finds it, although its cluster is gone."""
    with serving.account() as account:
        account.switch(
            left_behind=["load_balancers", "volumes"],
            rules=[
                {"method": "DELETE", "path": f"/v2/{kind}/*", "times": None, "status": 409, "message": "no"}
                for kind in ("load_balancers", "volumes")
            ],
        )
        with pytest.raises(ApplyError) as raised:
            account.tear_down(account.client(), timeout=3 * MINUTES)
        told = str(raised.value)
        assert "this is left and billed, about $25 a month (an estimate" in told
        assert told.count("doctl compute load-balancer delete") == 2
        assert told.count("doctl compute volume delete") == 2
        assert told.count(": no") == 4
        assert account.left()["clusters"] == set()
        account.switch()
        account.tear_down(account.client())
        left = account.left()
        assert (left["balancers"], left["volumes"], left["tags"]) == (THEIRS, THEIRS, set())


def test_a_cluster_that_the_journal_has_and_that_is_another_by_now_is_refused(serving: Serving) -> None:
    """The teardown was killed before it had deleted anything, and the cluster was used on and renamed."""
    with serving.account() as account:
        Journal(account.client(), "ml").begin([account.cluster], keep=True)
        cluster = account.world.state.clusters[account.cluster]
        cluster.change({"name": "prod"})
        before = account.left()
        with pytest.raises(SettingError) as raised:
            account.tear_down(account.client())
        told = str(raised.value)
        assert f"was to delete the cluster {account.cluster}, which is named prod" in told
        tag = f"tideflow-teardown:ml:{account.cluster}"
        assert f"doctl compute tag delete {tag} {tag}:keep-volumes" in told
        assert (account.left(), account.gone) == (before, [])

        cluster.change({"name": "ml", "tags": []})
        with pytest.raises(SettingError, match="which has no tag tideflow"):
            account.tear_down(account.client())
        assert account.left() == before

        cluster.change({"name": "prod"})
        cluster.become("deleting")  # whoever did that
        account.switch(lingering=True)
        account.tear_down(account.client())
        assert (account.left()["clusters"], set(account.gone)) == (set(), {account.cluster})


def test_a_teardown_that_is_refused_is_forgotten(serving: Serving) -> None:
    """Nothing was deleted, so that nothing has to be remembered; nor is the access to the cluster gone."""
    refused: dict[str, Any] = {"method": "DELETE", "times": None, "status": 403, "message": "no"}
    deletion = refused | {"path": "/v2/kubernetes/clusters/*"}
    with serving.account() as account:
        before = account.left()
        account.switch(rules=[deletion])
        with pytest.raises(DigitalOceanError, match="kubernetes:delete"):
            account.tear_down(account.client(), keep=True)
        assert (account.left(), account.gone) == (before, [])

        account.switch(rules=[deletion, refused | {"path": "/v2/tags/*"}])
        with pytest.raises(DigitalOceanError, match="kubernetes:delete") as raised:
            account.tear_down(account.client())
        assert f"doctl compute tag delete tideflow-teardown:ml:{account.cluster}" in str(raised.value)
        assert account.gone == []


def test_what_was_begun_before_is_remembered_although_the_rest_is_refused(serving: Serving) -> None:
    """A deletion that was not answered may have been made."""
    with serving.account() as account:
        rule: dict[str, Any] = {"method": "DELETE", "path": "/v2/load_balancers/*", "times": None}
        account.switch(left_behind=["load_balancers"], rules=[rule | {"status": 403}])
        with pytest.raises(DigitalOceanError):
            account.tear_down(account.client())
        assert account.left()["tags"]
        account.switch()
        account.tear_down(account.client())
        assert (account.left()["balancers"], account.left()["tags"]) == (THEIRS, set())


def test_nodes_that_outlive_their_cluster_are_deleted(serving: Serving) -> None:
    """By the cluster's tag. A token that must not says so once time is over, and not before: they may go."""
    with serving.account() as account:
        account.switch(left_behind=["droplets"])
        account.tear_down(account.client())
        assert account.world.state.droplets == {}
        assert account.left()["tags"] == set()
    with serving.account() as account:
        rule: dict[str, Any] = {"method": "DELETE", "path": "/v2/droplets/*", "times": None, "status": 403}
        account.switch(left_behind=["droplets"], rules=[rule])
        with pytest.raises(
            ApplyError, match=r"droplet pool-.*doctl compute droplet delete \d+; .*403"
        ) as raised:
            account.tear_down(account.client(), timeout=3 * MINUTES)
        assert account.left()["balancers"] == THEIRS
        assert "the scope droplet:delete" in str(raised.value)
        account.world.state.droplets.clear()  # DigitalOcean has done it after all
        account.tear_down(account.client())
        assert account.left()["tags"] == set()


class Behind(Mortal):
    """A client to which load balancers are not told for a while once the cluster is gone."""

    untold = 2

    @override
    def load_balancers(self) -> list[LoadBalancer]:
        found = super().load_balancers()
        if not self.clusters() and self.untold:
            self.untold -= 1
            return []
        return found


def test_a_list_that_is_behind_is_not_believed_at_once(serving: Serving) -> None:
    """What is not seen may be there: a few looks in a row have to see nothing."""
    with serving.account() as account:
        account.switch(left_behind=["load_balancers"])
        account.tear_down(account.client(Behind))
        assert account.left()["balancers"] == THEIRS


def test_a_load_balancer_that_takes_its_time_is_waited_for(serving: Serving) -> None:
    """However long that is, within the time that the step has."""
    with serving.account() as account:
        account.switch(balancer_delay=300)
        account.tear_down(account.client())
        assert account.left()["balancers"] == THEIRS
        assert account.world._passed > 300


def test_a_cluster_that_is_being_deleted_already_is_waited_for(serving: Serving) -> None:
    """What its tag tells goes too; load balancers, which somebody's hand left, are named and not touched."""
    with serving.account() as account:
        account.switch(lingering=True)
        assert account.world.api.delete(f"/v2/kubernetes/clusters/{account.cluster}").status_code == 204
        kept = account.tear_down(account.client()).kept
        left = account.left()
        assert (left["clusters"], left["volumes"]) == (set(), THEIRS)
        assert {each.id for each in kept if each.kind == "load balancer"} == left["balancers"]
        assert len(left["balancers"]) == 3


PATHS = (
    "/v2/kubernetes/clusters",
    "/v2/kubernetes/clusters/*",
    "/v2/load_balancers*",
    "/v2/volumes*",
    "/v2/droplets*",
    "/v2/snapshots",
    "/v2/tags*",
)
HOW: list[dict[str, Any]] = [{"cut": True}, *({"status": status} for status in (500, 503, 404, 409, 422))]
RULES = st.builds(
    lambda rule, how: rule | how,
    st.fixed_dictionaries(
        {
            "method": st.sampled_from(["*", "GET", "POST", "DELETE"]),
            "path": st.sampled_from(PATHS),
            "times": st.integers(1, 3),
        },
        optional={"carried_out": st.booleans()},
    ),
    st.sampled_from(HOW),
)
TROUBLES = st.fixed_dictionaries(
    {
        "dies_at": st.one_of(st.just(NEVER), st.integers(1, 60)),
        "unsent": st.booleans(),
        "faults": st.fixed_dictionaries(
            {
                "rules": st.lists(RULES, max_size=3),
                "lingering": st.booleans(),
                "balancer_delay": st.sampled_from([0, 45]),
                "left_behind": st.lists(
                    st.sampled_from(["load_balancers", "volumes", "volume_snapshots", "droplets"]),
                    unique=True,
                ),
            }
        ),
    }
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    troubles=st.lists(TROUBLES, min_size=1, max_size=4),
    stays=st.fixed_dictionaries({"keep": st.booleans(), "snapshots": st.booleans()}),
)
def test_reruns_leave_nothing_that_is_billed(
    serving: Serving, troubles: list[Any], stays: dict[str, bool]
) -> None:
    """Over sequences of kills and faults; the kept volumes and what is others' are there."""
    with serving.account() as account:
        for trouble in troubles:
            account.switch(**trouble["faults"])
            client = account.client()
            client.dies_at, client.unsent = trouble["dies_at"], trouble["unsent"]
            try:
                account.tear_down(client, **stays, timeout=10 * MINUTES)
            except (KilledError, TideflowError):
                account.world.later(30)
        account.switch()
        account.tear_down(account.client(), **stays)
        assert account.tear_down(account.client(), **stays).doomed == ()
        left = account.left()
        assert (left["clusters"], left["balancers"], left["tags"]) == (set(), THEIRS, set())
        assert left["droplets"] == set()
        assert left["volumes"] == THEIRS | (account.volumes if stays["keep"] else set())
        assert ("theirs" in left["snapshots"], len(left["snapshots"])) == (
            True,
            1 if stays["snapshots"] else 2,
        )
