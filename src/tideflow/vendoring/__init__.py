"""Vendoring: fetching a pinned Kubeflow release, rendering it, and keeping it as one file per object."""
