"""Whether an object is ready, by kstatus' rules and by what this project asks beyond them.

The order is kstatus': being deleted, generation not yet observed, the kind's own rule, a Ready condition.
Beyond it, Jobs must complete, a Service of type LoadBalancer must have an address, and a definition must be
Established.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_OWN_GROUPS = ".k8s.io"


@dataclass(frozen=True, slots=True)
class Status:
    """``ready``, or ``why`` not, in a few words. ``failed`` is what waiting does not mend."""

    ready: bool
    why: str = ""
    failed: bool = False


READY = Status(ready=True)


def status(live: Mapping[str, Any]) -> Status:
    """Return the status of a whole live object."""
    if live["metadata"].get("deletionTimestamp"):
        return _waiting("is being deleted")
    state = live.get("status") or {}
    generation, observed = live["metadata"].get("generation"), state.get("observedGeneration")
    if observed is not None and generation is not None and observed < generation:
        return _waiting("its controller has not seen the change yet")
    rule = _RULES.get(live["kind"])
    if rule is not None:
        return rule(live.get("spec") or {}, state)
    return _by_conditions(state)


def has_readiness(group: str, kind: str) -> bool:
    """Tell whether objects of the type can be there without being ready."""
    return kind in _RULES or is_custom(group)


def is_custom(group: str) -> bool:
    """Tell whether a group is of custom resources: it has a domain, and not one of Kubernetes' own."""
    return "." in group and not group.endswith(_OWN_GROUPS)


def _waiting(why: str) -> Status:
    return Status(ready=False, why=why)


def condition(state: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the condition of that type, empty if there is none."""
    conditions = state.get("conditions")
    if isinstance(conditions, list):
        for found in conditions:
            if isinstance(found, dict) and found.get("type") == kind:
                return found
    return {}


def _by_conditions(state: Mapping[str, Any]) -> Status:
    for kind in ("Reconciling", "Stalled"):
        found = condition(state, kind)
        if found.get("status") == "True":
            return _waiting(found.get("message") or f"is {kind.lower()}")
    found = condition(state, "Ready")
    if found and found.get("status") != "True":
        return _waiting(found.get("message") or found.get("reason") or "is not ready")
    return READY


def _deployment(spec: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    wanted = spec.get("replicas", 1)
    updated, available = state.get("updatedReplicas", 0), state.get("availableReplicas", 0)
    if state.get("observedGeneration") is None:
        return _waiting("its controller has not seen it yet")
    if updated < wanted:
        return _waiting(f"{updated} of {wanted} pods are new")
    if state.get("replicas", 0) > updated:
        return _waiting(f"{state['replicas'] - updated} old pods are left")
    if available < wanted:
        return _waiting(f"{available} of {wanted} pods are available")
    return READY


def _stateful_set(spec: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    wanted, ready = spec.get("replicas", 1), state.get("readyReplicas", 0)
    if state.get("observedGeneration") is None:
        return _waiting("its controller has not seen it yet")
    if ready < wanted:
        return _waiting(f"{ready} of {wanted} pods are ready")
    strategy = spec.get("updateStrategy") or {}
    held_back = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    if strategy.get("type") != "OnDelete" and state.get("updatedReplicas", 0) < wanted - held_back:
        return _waiting(f"{state.get('updatedReplicas', 0)} of {wanted} pods are new")
    return READY


def _daemon_set(spec: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    if state.get("observedGeneration") is None:
        return _waiting("its controller has not seen it yet")
    wanted, available = state.get("desiredNumberScheduled", 0), state.get("numberAvailable", 0)
    updated = state.get("updatedNumberScheduled", 0)
    if (spec.get("updateStrategy") or {}).get("type") != "OnDelete" and updated < wanted:
        return _waiting(f"{updated} of {wanted} nodes have the new pod")
    if available < wanted:
        return _waiting(f"{available} of {wanted} nodes have it available")
    return READY


def _replica_set(spec: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    wanted, available = spec.get("replicas", 1), state.get("availableReplicas", 0)
    return READY if available >= wanted else _waiting(f"{available} of {wanted} pods are available")


def _job(spec: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    failed = condition(state, "Failed")
    if failed.get("status") == "True":
        return Status(ready=False, why=f"failed: {failed.get('message') or 'no reason given'}", failed=True)
    if spec.get("suspend") or condition(state, "Complete").get("status") == "True":
        return READY
    return _waiting(f"{state.get('succeeded', 0)} of {spec.get('completions', 1)} pods have completed")


def _pod(_: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    if state.get("phase") == "Succeeded" or condition(state, "Ready").get("status") == "True":
        return READY
    return _waiting(f"is {state.get('phase', 'not seen yet')}")


def _claim(_: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    phase = state.get("phase", "Pending")
    return READY if phase == "Bound" else _waiting(f"its volume is {phase}")


def _service(spec: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    if spec.get("type") != "LoadBalancer" or (state.get("loadBalancer") or {}).get("ingress"):
        return READY
    return _waiting("its load balancer has no address")


def _definition(_: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    refused = condition(state, "NamesAccepted")
    if refused.get("status") == "False":
        return Status(ready=False, why=f"its names are refused: {refused.get('message')}", failed=True)
    return (
        READY if condition(state, "Established").get("status") == "True" else _waiting("is not established")
    )


def _api_service(spec: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    found = condition(state, "Available")
    if found.get("status") == "True" or not spec.get("service"):
        return READY
    return _waiting(found.get("message") or "is not available")


def _namespace(_: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    return _waiting("is being deleted") if state.get("phase") == "Terminating" else READY


_RULES: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Status]] = {
    "APIService": _api_service,
    "CustomResourceDefinition": _definition,
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "Job": _job,
    "Namespace": _namespace,
    "PersistentVolumeClaim": _claim,
    "Pod": _pod,
    "ReplicaSet": _replica_set,
    "Service": _service,
    "StatefulSet": _stateful_set,
}
