"""What is measured: a deploy file of one operation, as anybody may write it."""

from pathlib import Path

from pyinfra import host

from tideflow.operations import kubernetes

kubernetes.apply(
    name="Apply",
    source=Path(host.data.benchmark_source),
    set_name="benchmark",
    wait=host.data.benchmark_wait,
)
