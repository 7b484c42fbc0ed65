"""Applying small sets to the tests' control plane, and looking at what that did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tideflow.engine.applying import Application, Options
from tideflow.engine.manifests import load

if TYPE_CHECKING:
    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.engine.applying import Plan, Summary

WRITES = {"create", "patch", "update", "delete"}


def apply(
    cluster: Kubernetes, objects: list[dict[str, Any]], *, set_name: str = "test", **options: Any
) -> Plan:
    """Apply a set, and return what was planned."""
    return apply_and_tell(cluster, objects, set_name=set_name, **options)[0]


def apply_and_tell(
    cluster: Kubernetes, objects: list[dict[str, Any]], *, set_name: str = "test", **options: Any
) -> tuple[Plan, Summary | None]:
    """Apply a set, and return what was planned and what was done; nothing was if the plan has nothing."""
    applying = Application(
        cluster,
        set_name=set_name,
        manifests=load(objects),
        options=Options(**{"timeout": 60, **options}),
    )
    plan = applying.plan()
    return plan, run(applying, plan) if plan.writes or plan.waiting else None


def run(applying: Application, plan: Plan) -> Summary:
    """Carry a plan out."""
    return applying.run(plan, progress=lambda _: None)
