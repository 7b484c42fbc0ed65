"""What there is now, and how to go on; it changes nothing."""

from tideflow.operations import kubeflow

kubeflow.status(name="Status")
