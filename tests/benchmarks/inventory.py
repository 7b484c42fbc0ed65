"""The platform that is measured: the cluster of a kubeconfig's context."""

platforms = ["@kubeconfig/benchmark"]
