"""Whatever happens in the life of a platform, in whatever order, nothing is made twice, and nothing is left.

Each step is a run of pyinfra, whole and real, against a twin that fails: requests are refused, not answered,
or the last thing that a run asks for before it is killed; clusters break, and nodes never come.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.operations.mishaps import KINDS, Mishap
from tests.operations.worlds import HOSTNAME, NAME, TOKEN, ZONE, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.operations.worlds import Run

SIZES = ("s-4vcpu-8gb", "s-8vcpu-16gb")
VERSIONS = ("1.33", "1.34")
OWN = {"hostname": HOSTNAME, "email": "me@example.org", "addons": ["ingress-nginx"], "tls": "self-signed"}
FIRST: dict[str, Any] = {
    "node_count": 2,
    "node_size": SIZES[0],
    "node_autoscale": False,
    "kubernetes_version": VERSIONS[0],
    "high_availability": False,
}
ALLOWED = {"scale_down": True, "replace_nodes": True}


@dataclass(frozen=True)
class Step:
    """One step of a life: the settings become others, and a deploy file is run while something goes wrong.

    ``use`` is no run, but people who have something in their cluster that is billed.
    """

    deploy: str
    changes: dict[str, Any] = field(default_factory=dict)
    allowed: bool = True
    faults: dict[str, Any] = field(default_factory=dict)
    mishaps: tuple[Mishap, ...] = ()

    @property
    def is_faultless(self) -> bool:
        """Whether nothing goes wrong by itself."""
        return not self.faults and not self.mishaps


def _mishaps(*numbers: int, writes: bool) -> st.SearchStrategy[Mishap]:
    return st.builds(Mishap, st.sampled_from(KINDS), st.sampled_from(numbers), st.sampled_from([writes]))


# A run makes few requests that change something, and they matter the most.
WRITES, READS = _mishaps(0, 0, 0, 1, 1, 2, 3, 4, writes=True), _mishaps(*range(16), writes=False)
MISHAPS = st.lists(st.one_of(WRITES, WRITES, READS), max_size=3).map(tuple)
FAULTS = st.one_of(
    st.just({}),
    st.sampled_from(
        [
            {"broken_clusters": ["*"]},
            {"missing_nodes": 1},
            {"droplet_limit": 4},
            {"lingering": True},
            {"left_behind": ["load_balancers", "volumes"]},
            {"balancer_delay": 0.3},
        ]
    ),
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "node_count": st.integers(1, 4),
        "node_size": st.sampled_from(SIZES),
        "node_autoscale": st.booleans(),
        "kubernetes_version": st.sampled_from([VERSIONS[1]]),
        "high_availability": st.sampled_from([True]),
    },
)


def _lives(*deploys: str) -> st.SearchStrategy[list[Step]]:
    runs = st.builds(
        Step,
        deploy=st.sampled_from(deploys),
        changes=CHANGES,
        allowed=st.sampled_from([True, True, False]),
        faults=FAULTS,
        mishaps=MISHAPS,
    )
    return st.lists(st.one_of(runs, runs, st.just(Step("use"))), min_size=1, max_size=7)


STEPS = _lives("cluster", "cluster", "cluster", "teardown", "dns")
LONG_STEPS = _lives("cluster", "load_balancer", "load_balancer", "teardown", "dns")


@pytest.fixture(scope="module")
def world(binaries: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Yield a world for all lives, one after the other."""
    with World(tmp_path_factory.mktemp("world"), binaries) as world:
        yield world


class Life:
    """A platform in a world, and what its settings are by now."""

    def __init__(self, world: World, *, addons: bool) -> None:
        self.world = world
        self.addons = addons
        self.wanted = dict(FIRST)
        self.uses = False
        self.figures: Counter[str] = Counter()
        world.begin()

    def live(self, step: Step) -> None:
        """Take a step, after which all has to be sound, however it ended."""
        if step.deploy == "use":
            if any(cluster.serves for cluster in self.world.clusters):
                self.world.use()
                if not self.addons:
                    self.world.balance()
                self.uses = True
            return
        self.wanted |= step.changes
        needs_more = step.deploy in {"dns", "load_balancer"}
        may_fail = not (step.is_faultless and step.allowed) or needs_more or self.is_broken
        run = self._run(step.deploy, step, patience=3 if step.faults else 60)
        assert may_fail or run.status == 0, run.printed
        if run.status == 0 and step.deploy == "teardown":
            self.sees_nothing_left(run)
        if run.status == 0 and step.deploy == "cluster" and step.allowed:
            self.is_as_wanted(run)

    @property
    def is_broken(self) -> bool:
        """Whether the cluster is one that DigitalOcean could not make, and that has to be taken down."""
        return any(cluster.state == "error" for cluster in self.world.clusters)

    def _run(self, deploy: str, step: Step | None = None, *, patience: int = 60) -> Run:
        step = step or Step(deploy)
        data = OWN | self.data() | {"timeout_minutes": patience}
        match deploy:
            case "teardown":
                data["confirm"] = NAME
            case "dns":
                data |= {"dns_zone": ZONE, "dns_wildcard": True, "dns_wait_minutes": 0}
            case _:
                data |= ALLOWED if step.allowed else {}
        run = self.world.run(deploy, data, mishaps=step.mishaps, faults=step.faults)
        self.figures.update([deploy, f"ended {run.status}", *(each.kind for each in run.mishaps)])
        assert "Traceback" not in run.printed, run.printed
        assert "has a defect" not in run.printed, run.printed
        assert TOKEN not in run.printed
        self.is_sound(run)
        return run

    def data(self) -> dict[str, Any]:
        """Return the settings, in which bounds are around the number of nodes."""
        count = self.wanted["node_count"]
        bounds = [max(1, count - 1), count + 1] if self.wanted["node_autoscale"] else False
        return self.wanted | {"node_autoscale": bounds}

    def is_sound(self, run: Run) -> None:
        """See that nothing is there twice, and that what is not ours is as it was."""
        assert self.world.are_theirs_untouched(), run.printed
        clusters = self.world.clusters
        assert len(clusters) - sum(cluster.state == "deleting" for cluster in clusters) <= 1, run.printed
        for cluster in clusters:
            assert cluster.name == NAME
            assert len({pool.size for pool in cluster.pools}) == len(cluster.pools) <= len(SIZES), run.printed
        ours = self.world.ours()
        of = [each["cluster_id"] for each in ours["load balancers"].values()]
        assert len(set(of)) == len(of), run.printed
        records = ours["records"].values()
        assert len({(each["type"], each["name"], each["data"]) for each in records}) == len(records)

    def ends(self) -> None:
        """See that all becomes as the settings say once nothing goes wrong, and can be taken down then."""
        if self.is_broken:
            self.sees_nothing_left(self._run("teardown"))
        self.is_as_wanted(self._does("cluster"))
        if self.uses or self.addons:
            self.world.use()
            if self.addons:
                self._does("load_balancer")
            else:
                self.world.balance()
            records = self._does("dns").printed
            kinds = Counter(each["type"] for each in self.world.ours()["records"].values())
            assert kinds == {"A": 2, "TXT": 2}, records
        self.sees_nothing_left(self._does("teardown"))

    def _does(self, deploy: str) -> Run:
        """Run a deploy file when nothing goes wrong; it does its work, and has nothing to do then."""
        run = self._run(deploy)
        assert run.status == 0, run.printed
        before = self.world.ours()
        again = self._run(deploy)
        assert again.status == 0, again.printed
        assert again.changed_nothing, again.printed
        assert self.world.ours() == before, again.printed
        return run

    def is_as_wanted(self, run: Run) -> None:
        """See that the cluster is exactly as the settings say."""
        (cluster,) = self.world.clusters
        wanted = self.data()
        assert cluster.state == "running", run.printed
        assert cluster.version.startswith(wanted["kubernetes_version"]), run.printed
        assert cluster.ha == wanted["high_availability"], run.printed
        assert set(cluster.tags) == {"tideflow", f"tideflow:{NAME}"}, run.printed
        (pool,) = cluster.pools
        assert pool.size == wanted["node_size"], run.printed
        assert {node.state for node in pool.nodes} == {"running"}, run.printed
        assert len(pool.nodes) == pool.count, run.printed
        if bounds := wanted["node_autoscale"]:
            assert [pool.auto_scale, pool.min_nodes, pool.max_nodes] == [True, *bounds], run.printed
            assert bounds[0] <= pool.count <= bounds[1], run.printed
        else:
            assert (pool.auto_scale, pool.count) == (False, wanted["node_count"]), run.printed
        assert self.world.nodes() == {node.name: True for node in pool.nodes}, run.printed

    def sees_nothing_left(self, run: Run) -> None:
        """See that nothing of ours is there any more, billed or not."""
        assert run.status == 0, run.printed
        left = {kind: things for kind, things in self.world.ours().items() if things}
        assert not left, run.printed


def lives(world: World, steps: list[Step], *, addons: bool = False) -> Counter[str]:
    """Live a life to its end, with 1-clicks or with what they would make; return how often what happened."""
    life = Life(world, addons=addons)
    for step in steps:
        life.live(step)
    life.ends()
    return life.figures


PATIENT = settings(deadline=None, suppress_health_check=list(HealthCheck))


# Killed while nodes are replaced, after which somebody changed their mind.
RETURNED = [
    Step("cluster"),
    Step("cluster", {"node_size": SIZES[1]}, mishaps=(Mishap("killed before", 1),)),
    Step("cluster", {"node_size": SIZES[0]}),
]


@settings(PATIENT, max_examples=6, derandomize=True)
@given(steps=STEPS)
@example(steps=RETURNED)
def test_nothing_is_made_twice_and_nothing_is_left(world: World, steps: list[Step]) -> None:
    """However a life goes; the same few lives each time."""
    lives(world, steps)


@pytest.mark.soak
@settings(PATIENT, max_examples=300)
@given(steps=STEPS)
def test_nor_in_many_other_lives(world: World, steps: list[Step]) -> None:
    """Which are others each time."""
    lives(world, steps)


@pytest.mark.soak
@settings(PATIENT, max_examples=60)
@given(steps=LONG_STEPS)
def test_nor_with_1_clicks(world: World, steps: list[Step]) -> None:
    """Which are installed once, and repaired."""
    lives(world, steps, addons=True)
