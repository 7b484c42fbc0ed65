"""The order of records: each object after what it needs, and otherwise as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tideflow.engine.graph import Written
from tideflow.engine.manifests import Key
from tideflow.engine.records import Record, in_order
from tideflow.engine.webhooks import Service, Webhook

if TYPE_CHECKING:
    from tideflow.engine.graph import Need

KEYS = [Key("", "ConfigMap", "a", f"c{number}") for number in range(8)]


@given(
    st.permutations(KEYS),
    st.dictionaries(st.sampled_from(range(8)), st.sets(st.sampled_from(range(8)))),
)
def test_needs_come_first_whatever_was_recorded(recorded: list[Key], drawn: dict[int, set[int]]) -> None:
    """Any graph without circles, over any order; what is in order already stays as it is."""
    needs: dict[Key, frozenset[Need]] = {
        KEYS[number]: frozenset(Written(KEYS[other]) for other in wanted if other < number)
        for number, wanted in drawn.items()
    }
    records = {key: Record(key.name, "o") for key in recorded}
    ordered = in_order(records, needs)
    assert ordered == records
    places = list(ordered)
    for key, wanted in needs.items():
        for need in wanted:
            assert isinstance(need, Written)
            assert places.index(need.key) < places.index(key)
    assert list(in_order(ordered, needs)) == places
    assert list(in_order(records, {})) == recorded


def test_a_webhooks_configuration_and_service_come_before_what_it_is_called_for() -> None:
    """Needs of objects that are not recorded do not matter."""
    owner = Key("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "", "w")
    service = Key("", "Service", "a", "w")
    webhook = Webhook(owner, "w", Service("a", "w"))
    records = {key: Record("u", "o") for key in (KEYS[0], service, owner)}
    needs: dict[Key, frozenset[Need]] = {KEYS[0]: frozenset({webhook, Written(KEYS[1])})}
    assert list(in_order(records, needs)) == [service, owner, KEYS[0]]
