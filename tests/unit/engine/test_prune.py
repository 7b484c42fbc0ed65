"""What is pruned, what is left and why, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tideflow.engine.manifests import Key
from tideflow.engine.ownership import APPLIED
from tideflow.engine.plan import Plan
from tideflow.engine.prune import Removed, in_order, is_among, judge, told
from tideflow.engine.pruning import lingering
from tideflow.engine.records import ONCE, Record

if TYPE_CHECKING:
    from tideflow.engine.prune import Prune

PLAIN = Key("", "ConfigMap", "a", "b")
SPACE = Key("", "Namespace", "", "a")
CLAIM = Key("", "PersistentVolumeClaim", "a", "c")
VOLUME = Key("", "PersistentVolume", "", "v")
DEFINITION = Key("apiextensions.k8s.io", "CustomResourceDefinition", "", "gadgets.example.org")
PROFILE = Key("kubeflow.org", "Profile", "", "user")
CUSTOM = Key("example.org", "Gadget", "a", "g")
HOOK = Key("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "", "h")
API = Key("apiregistration.k8s.io", "APIService", "", "v1.example.org")
WORK = Key("apps", "Deployment", "a", "d")
SNAPSHOT = Key("snapshot.storage.k8s.io", "VolumeSnapshot", "a", "s")
ROLE = Key("rbac.authorization.k8s.io", "ClusterRole", "", "r")

ALL = [PLAIN, SPACE, CLAIM, VOLUME, DEFINITION, PROFILE, CUSTOM, HOOK, API, WORK, SNAPSHOT, ROLE]
RECORD = Record("one", "digest")


def live(uid: str = "one", **managers: bool) -> dict[str, Any]:
    """Return a live object with managers, each of which does or does not own the annotation of a set."""
    fields: dict[bool, dict[str, Any]] = {
        True: {"f:metadata": {"f:annotations": {f"f:{APPLIED}": {}}}},
        False: {"f:metadata": {"f:annotations": {"f:another": {}}}},
    }
    entries = [
        {"manager": name.replace("_", "-"), "operation": "Apply", "fieldsV1": fields[is_set]}
        for name, is_set in (managers or {"tideflow_set": True}).items()
    ]
    return {"metadata": {"uid": uid, "managedFields": entries}}


def judged(
    key: Key, found: dict[str, Any] | None, record: Record = RECORD, *, prune: Prune = "objects", **more: Any
) -> Removed:
    """Judge one object."""
    return judge(
        {key: record},
        {key: found} if found else {},
        prune=prune,
        set_name="set",
        **{"keep": {}, "wanted": (), "owners": (), **more},
    )


@pytest.mark.parametrize("key", [PLAIN, CUSTOM, HOOK, API, WORK, ROLE])
def test_objects_without_data_go_unless_pruning_is_off(key: Key) -> None:
    """With "off" they are left, and the reason says how they would go."""
    assert judged(key, live()).pruned == (key,)
    assert judged(key, live(), prune="everything").pruned == (key,)
    assert judged(key, live(), prune="off") == Removed(left={key: 'it goes only with prune="objects"'})


@pytest.mark.parametrize("key", [SPACE, CLAIM, VOLUME, DEFINITION, PROFILE, SNAPSHOT])
@pytest.mark.parametrize("prune", ["off", "objects"])
def test_users_data_goes_only_with_everything(key: Key, prune: Prune) -> None:
    """The reason says what would go with it."""
    left = judged(key, live(), prune=prune)
    assert left.pruned == ()
    assert left.left[key].startswith('it goes only with prune="everything", and with it ')
    assert judged(key, live(), prune="everything").pruned == (key,)


def test_credentials_and_what_owns_a_claim_are_data() -> None:
    """Whatever kind they are of."""
    secret = Key("", "Secret", "a", "s")
    assert "the credential in it" in judged(secret, live(), Record("one", ONCE)).left[secret]
    assert judged(secret, live()).pruned == (secret,)
    assert judged(WORK, live(), owners={"one"}).left[WORK].endswith("the volumes it owns")
    assert judged(WORK, live(), owners={"another"}).pruned == (WORK,)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (live("another"), "somebody deleted it and made it anew"),
        (live(kubectl=False), "somebody else has taken it over"),
        (live(tideflow_other=True), "it is of the set other now"),
        (live(tideflow_set=True, tideflow_other=True), "it is of the set other now"),
        (live(tideflow_set=False, tideflow_other=True), "it is of the set other now"),
    ],
)
@pytest.mark.parametrize("key", [PLAIN, SPACE])
def test_what_is_not_ours_any_more_is_forgotten(key: Key, found: dict[str, Any], why: str) -> None:
    """Whatever was asked for."""
    for prune in ("off", "objects", "everything"):
        assert judged(key, found, prune=prune) == Removed(forgotten={key: why})


def test_what_is_gone_is_nothing_to_write_about() -> None:
    """A record that still has it costs nothing, and is rid of it by and by."""
    for prune in ("off", "objects", "everything"):
        assert judged(SPACE, None, prune=prune) == Removed(gone=(SPACE,))
    assert not Plan(gone=(SPACE,)).writes


def test_other_managers_do_not_make_it_theirs() -> None:
    """Neither kubectl nor an operation of ours that only adds a field to it."""
    found = live(tideflow_set=True, kubectl=False, tideflow_auth=False)
    assert judged(PLAIN, found).pruned == (PLAIN,)


def test_what_a_killed_run_may_have_written_is_ours_if_its_fields_are() -> None:
    """Its record has no UID yet."""
    assert judged(PLAIN, live(), Record("", "")).pruned == (PLAIN,)
    assert judged(PLAIN, live(kubectl=False), Record("", "")).forgotten
    assert judged(PLAIN, None, Record("", "")).gone


def test_what_the_set_needs_or_has_under_another_name_is_kept() -> None:
    """Even with everything."""
    kept = judged(SPACE, live(), prune="everything", keep={SPACE: "the set has objects in it"})
    assert kept == Removed(left={SPACE: "the set has objects in it"})
    assert judged(PLAIN, live(), prune="everything", wanted={"one"}).forgotten


@given(st.permutations(ALL))
def test_the_order_is_that_of_release_reversed_in_ranks(released: list[Key]) -> None:
    """Custom resources, definitions, registrations, the rest, Namespaces; reversed within each."""
    order = in_order(released)
    assert sorted(order) == sorted(released)
    others = {PLAIN, CLAIM, VOLUME, WORK, ROLE}
    ranks = [{CUSTOM, PROFILE, SNAPSHOT}, {DEFINITION}, {HOOK, API}, others, {SPACE}]
    rest = order
    for rank in ranks:
        here, rest = rest[: len(rank)], rest[len(rank) :]
        assert here == [key for key in reversed(released) if key in rank]


def test_what_stays_is_told_by_reason() -> None:
    """One line for each reason, and no more names than can be read."""
    many = {Key("", "ConfigMap", "a", f"c{number:02}"): "because" for number in range(15)}
    plan = Plan(left={PLAIN: "because", WORK: "because"}, forgotten={CLAIM: "it is theirs"})
    assert list(told(plan, "set")) == [
        "leave what set no longer has, ConfigMap a/b, Deployment a/d: because",
        "forget what set no longer has, PersistentVolumeClaim a/c: it is theirs",
    ]
    (line,) = told(Plan(left=many), "set")
    assert "ConfigMap a/c11 and 3 more: because" in line
    assert not list(told(Plan(), "set"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"metadata": {}}, "it is being deleted"),
        (
            {"metadata": {"finalizers": ["kubernetes.io/pvc-protection"]}},
            "its finalizer kubernetes.io/pvc-protection is there: a pod still uses it",
        ),
        (
            {
                "metadata": {"finalizers": ["example.org/hold"]},
                "status": {
                    "conditions": [
                        {"type": "NamespaceContentRemaining", "status": "True", "message": "pods. has 2."},
                        {"type": "NamespaceDeletionContentFailure", "status": "False", "message": "fine"},
                        {"type": "Ready", "status": "True", "message": "fine"},
                    ]
                },
            },
            "its finalizer example.org/hold is there; pods. has 2",
        ),
    ],
)
def test_why_something_is_still_there(body: dict[str, Any], expected: str) -> None:
    """Finalizers, and what a Namespace or a definition says is left in it."""
    assert lingering(body) == expected


@pytest.mark.parametrize(
    ("key", "manifest", "expected"),
    [
        (PLAIN, PLAIN, True),
        (PLAIN, Key("", "ConfigMap", "other", "b"), False),
        (PLAIN, Key("", "Secret", "a", "b"), False),
        (PLAIN, Key("", "ConfigMap", "", "b"), False),
        (Key("", "ConfigMap", "default", "b"), Key("", "ConfigMap", "", "b"), True),
        (ROLE, Key("rbac.authorization.k8s.io", "ClusterRole", "needless", "r"), True),
    ],
)
def test_another_set_may_leave_out_where_its_objects_belong(
    key: Key, manifest: Key, *, expected: bool
) -> None:
    """A manifest without a namespace means the default one; one of a cluster's object may have any."""
    assert is_among(key, [manifest]) is expected


@pytest.mark.parametrize(
    ("plan", "writes"),
    [
        (Plan(pruned=(PLAIN,)), True),
        (Plan(forgotten={PLAIN: "because"}), True),
        (Plan(left={PLAIN: "because"}), False),
    ],
)
def test_a_plan_writes_if_something_goes_from_cluster_or_record(plan: Plan, *, writes: bool) -> None:
    """What is left is only told."""
    assert plan.writes == writes
