"""Addresses of load balancers: for documentation only, and the same each time."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from tideflow.rehearsal.standins.balancers import _misfit, address, is_network


@given(st.uuids())
def test_an_address_is_one_that_nobody_has(uid: object) -> None:
    """From 203.0.113.0/24, which RFC 5737 keeps for documentation; neither its first nor its last."""
    service = {"metadata": {"uid": str(uid)}}
    found = ipaddress.ip_address(address(service))
    assert found in list(ipaddress.ip_network("203.0.113.0/24").hosts())
    assert address(service) == str(found)


def test_a_network_load_balancer_leads_to_the_same_port_only() -> None:
    """It is what a Service gets that says nothing; names are those of ports of the pods."""
    ports = [{"port": 80, "targetPort": 8080}]
    service = {"metadata": {}, "spec": {"ports": ports}}
    assert is_network(service)
    assert "80 is not 8080" in _misfit(service)
    assert not _misfit(
        {"metadata": {}, "spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 81}]}}
    )
    told = {"annotations": {"service.beta.kubernetes.io/do-loadbalancer-type": "REGIONAL"}}
    assert not _misfit({"metadata": told, "spec": {"ports": ports}})
