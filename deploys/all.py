"""Everything, in order: from nothing to a Kubeflow that people can log in to. A rerun changes what is off."""

from pyinfra import local

_STEPS = (
    "cluster",
    "load_balancer",
    "kubeflow_base",
    "auth",
    "credentials",
    "ingress",
    "dns",
    "certificate",
    "status",
    "reachable",
)
for _step in _STEPS:
    local.include(f"./{_step}.py")
