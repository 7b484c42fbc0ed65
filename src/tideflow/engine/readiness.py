"""Whether an object is ready, by kstatus' rules and by what this project asks beyond them.

The order is kstatus': being deleted, generation not yet observed, Reconciling or Stalled, the kind's own
rule, a Ready condition, and otherwise ready. So a custom resource that nobody has written a status for yet is
ready: there may be no controller, and nothing says that one is awaited.

Beyond kstatus, Jobs must complete, a bare Pod must not have failed, a Service of type LoadBalancer must have
an address, and pods of a StatefulSet must be ready even if they are replaced by hand only. Short of it, what
is merely slow has not failed: a Deployment that is past its progress deadline, and pods that crash or find no
node, are waited for.

https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tideflow.engine import refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BUILT_IN = frozenset(
    {
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)
"""Kubernetes' own groups with a domain. Others below k8s.io are custom, such as gateway.networking.k8s.io."""


@dataclass(frozen=True, slots=True)
class Status:
    """``ready``, or ``why`` not, in a few words. ``failed`` is what waiting does not mend."""

    ready: bool
    why: str = ""
    failed: bool = False


READY = Status(ready=True)


def status(group: str, kind: str, live: Mapping[str, Any]) -> Status:
    """Return the status of a whole live object of a type; items of a list do not say theirs."""
    if live["metadata"].get("deletionTimestamp"):
        return _waiting("is being deleted")
    state = live.get("status") or {}
    generation = live["metadata"].get("generation")
    if _is_behind(state.get("observedGeneration"), generation):
        return _waiting("its controller has not seen the change yet")
    reconciling, stalled = condition(state, "Reconciling"), condition(state, "Stalled")
    if reconciling.get("status") == "True":
        return _waiting(_said(reconciling, "is being reconciled"))
    if stalled.get("status") == "True":
        return _failed(f"is stalled: {_said(stalled, 'no reason given')}")
    rule = _RULES.get((group, kind))
    if rule is not None:
        return rule(live.get("spec") or {}, state)
    return _by_condition(state, generation)


def has_readiness(group: str, kind: str) -> bool:
    """Tell whether objects of the type can be there without being ready."""
    return (group, kind) in _RULES or is_custom(group)


def is_custom(group: str) -> bool:
    """Tell whether a group is of custom resources: it has a domain, and is none of Kubernetes' own."""
    return "." in group and group not in _BUILT_IN


def condition(state: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the condition of that type, empty if there is none."""
    conditions = state.get("conditions")
    if isinstance(conditions, list):
        for found in conditions:
            if isinstance(found, dict) and found.get("type") == kind:
                return found
    return {}


def _waiting(why: str) -> Status:
    return Status(ready=False, why=why)


def _failed(why: str) -> Status:
    return Status(ready=False, why=why, failed=True)


def _said(found: Mapping[str, Any], otherwise: str) -> str:
    return str(found.get("message") or found.get("reason") or otherwise)


def _is_behind(observed: object, generation: object) -> bool:
    # As texts: Argo Rollouts writes its observedGeneration as one.
    return observed is not None and generation is not None and str(observed) != str(generation)


def _by_condition(state: Mapping[str, Any], generation: object) -> Status:
    """Judge by Ready, where unknown, as Knative writes it at first, is not ready."""
    found = condition(state, "Ready")
    if found and found.get("status") != "True":
        return _waiting(_said(found, "is not ready"))
    if _is_behind(found.get("observedGeneration"), generation):
        return _waiting("its controller has not seen the change yet")
    return READY


def _unseen(state: Mapping[str, Any]) -> Status | None:
    """Return what to say of a kind whose controller always writes what it has observed, while it has not."""
    return _waiting("its controller has not seen it yet") if state.get("observedGeneration") is None else None


def _refused(state: Mapping[str, Any]) -> Status | None:
    found = condition(state, "ReplicaFailure")
    if found.get("status") != "True":
        return None
    return _waiting(refusals.in_words(_said(found, "no reason given")))


def _deployment(spec: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    wanted = spec.get("replicas", 1)
    updated, available = state.get("updatedReplicas", 0), state.get("availableReplicas", 0)
    if unseen := _unseen(state):
        return unseen
    if updated < wanted:
        paused = " while it is paused" if spec.get("paused") else ""
        return _refused(state) or _waiting(f"{updated} of {wanted} pods are new{paused}")
    if state.get("replicas", 0) > updated:
        return _waiting(f"{state['replicas'] - updated} old pods are left")
    if available < wanted:
        return _refused(state) or _waiting(f"{available} of {wanted} pods are available")
    return READY


def _stateful_set(spec: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    wanted, ready = spec.get("replicas", 1), state.get("readyReplicas", 0)
    if unseen := _unseen(state):
        return unseen
    if ready < wanted:
        return _waiting(f"{ready} of {wanted} pods are ready")
    if state.get("replicas", 0) > wanted:
        return _waiting(f"{state['replicas'] - wanted} pods too many are left")
    strategy = spec.get("updateStrategy") or {}
    held_back = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    due = wanted - min(held_back, wanted)
    if strategy.get("type") != "OnDelete" and state.get("updatedReplicas", 0) < due:
        return _waiting(f"{state.get('updatedReplicas', 0)} of {due} pods are new")
    return READY


def _daemon_set(spec: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    if unseen := _unseen(state):
        return unseen
    wanted, available = state.get("desiredNumberScheduled", 0), state.get("numberAvailable", 0)
    updated = state.get("updatedNumberScheduled", 0)
    if (spec.get("updateStrategy") or {}).get("type") != "OnDelete" and updated < wanted:
        return _waiting(f"{updated} of {wanted} nodes have the new pod")
    if available < wanted:
        return _waiting(f"{available} of {wanted} nodes have it available")
    return READY


def _replicas(spec: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    """Judge what makes pods and never replaces them: ReplicaSets and ReplicationControllers."""
    wanted, available = spec.get("replicas", 1), state.get("availableReplicas", 0)
    if unseen := _unseen(state):
        return unseen
    if available < wanted:
        return _refused(state) or _waiting(f"{available} of {wanted} pods are available")
    if state.get("replicas", 0) > wanted:
        return _waiting(f"{state['replicas'] - wanted} pods too many are left")
    return READY


def _job(spec: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    failed = condition(state, "Failed")
    if failed.get("status") == "True":
        return _failed(f"has failed: {_said(failed, 'no reason given')}")
    if spec.get("suspend") or condition(state, "Complete").get("status") == "True":
        return READY
    return _waiting(f"{state.get('succeeded', 0)} of {spec.get('completions') or 1} pods have completed")


def _pod(_: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    phase = state.get("phase", "not seen yet")
    if phase == "Failed":
        return _failed(f"has failed: {_said(state, 'its containers ended, and are not started again')}")
    if phase == "Succeeded" or condition(state, "Ready").get("status") == "True":
        return READY
    return _waiting(f"is {phase}")


def _claim(_: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    phase = state.get("phase", "Pending")
    return READY if phase == "Bound" else _waiting(f"its volume is {phase}")


def _service(spec: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    if spec.get("type") != "LoadBalancer" or (state.get("loadBalancer") or {}).get("ingress"):
        return READY
    return _waiting("its load balancer has no address")


def _budget(_: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    """Judge a PodDisruptionBudget: it is in force once its controller has counted."""
    return _unseen(state) or READY


def _definition(_: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    names = condition(state, "NamesAccepted")
    if names.get("status") == "False":
        return _failed(f"its names are refused: {_said(names, 'no reason given')}")
    return (
        READY if condition(state, "Established").get("status") == "True" else _waiting("is not established")
    )


def _api_service(spec: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    found = condition(state, "Available")
    if found.get("status") == "True" or not spec.get("service"):
        return READY
    return _waiting(_said(found, "is not available"))


def _namespace(_: Mapping[str, Any], state: Mapping[str, Any]) -> Status:
    return _waiting("is being deleted") if state.get("phase") == "Terminating" else READY


# By group and kind: Knative's Service and Volcano's Job are none of Kubernetes'. Built-in kinds without a
# rule, such as CronJob, Ingress and HorizontalPodAutoscaler, are ready by being there, as in kstatus.
_RULES: dict[tuple[str, str], Callable[[Mapping[str, Any], Mapping[str, Any]], Status]] = {
    ("", "Namespace"): _namespace,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Pod"): _pod,
    ("", "ReplicationController"): _replicas,
    ("", "Service"): _service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("apiregistration.k8s.io", "APIService"): _api_service,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replicas,
    ("apps", "StatefulSet"): _stateful_set,
    ("batch", "Job"): _job,
    ("policy", "PodDisruptionBudget"): _budget,
}
