"""Everything, in order: from nothing to a Kubeflow that people can log in to. A rerun changes what is off."""

from pyinfra import local

for _step in ("cluster", "load_balancer", "kubeflow_base", "auth", "credentials", "ingress", "dns", "status"):
    local.include(f"./{_step}.py")
