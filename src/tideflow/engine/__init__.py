"""The apply engine: from manifests to a cluster that has them, with every object ready."""
