"""Addresses of load balancers: for documentation only, and the same each time."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from tideflow.rehearsal.standins.balancers import address


@given(st.uuids())
def test_an_address_is_one_that_nobody_has(uid: object) -> None:
    """From 203.0.113.0/24, which RFC 5737 keeps for documentation; neither its first nor its last."""
    service = {"metadata": {"uid": str(uid)}}
    found = ipaddress.ip_address(address(service))
    assert found in list(ipaddress.ip_network("203.0.113.0/24").hosts())
    assert address(service) == str(found)
