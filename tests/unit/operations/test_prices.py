"""Estimates of what a cluster costs."""

from __future__ import annotations

from dataclasses import replace

from tideflow.operations import prices
from tideflow.operations.prices import Bill

BILL = Bill(size="s-4vcpu-8gb", nodes=3, most_nodes=3, volumes=3, volumes_gib=50, high_availability=False)


def test_the_parts_of_a_bill_add_up() -> None:
    """And it is marked as an estimate, with the date of the prices."""
    lines = list(BILL.lines())
    assert (
        lines[0] == f"it costs about $161 a month (an estimate, by DigitalOcean's prices of {prices.AS_OF})"
    )
    assert [line.split()[0] for line in lines[1:]] == ["$144", "$12", "$5"]


def test_a_highly_available_control_plane_and_nodes_that_may_come_cost_more() -> None:
    """The most that it can become is said too."""
    first, *_, last = replace(BILL, high_availability=True, most_nodes=6).lines()
    assert "about $201 a month, up to $345 with 6 nodes" in first
    assert last.split()[0] == "$40"


def test_a_larger_load_balancer_costs_more() -> None:
    """As much as its nodes would one by one."""
    first, _, balancer, _ = replace(BILL, balancer_nodes=3).lines()
    assert "about $185 a month" in first
    assert balancer.split() == ["$36", "a", "load", "balancer", "of", "3", "nodes,", "$12", "each"]


def test_a_size_without_a_price_is_said() -> None:
    """Rather than half a sum."""
    (line,) = replace(BILL, size="gpu-h100x1-80gb").lines()
    assert "have no gpu-h100x1-80gb" in line


def test_each_size_of_the_table_has_its_price() -> None:
    """And slugs say what the sizes are, where they do."""
    assert prices.SIZES.keys() == prices.NODES.keys()
    for slug, size in prices.SIZES.items():
        if "vcpu" in slug:
            assert slug.endswith(f"-{size.cpus}vcpu-{size.memory_mib // 1024}gb")
