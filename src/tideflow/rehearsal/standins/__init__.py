"""Stand-ins for what a cloud, its network and Kubeflow's own controllers do to the objects of a cluster.

One process beside each control plane. Every stand-in is a function over what is live, run again whenever
something it looks at has changed, so that it picks up where it is after any interruption.
"""
