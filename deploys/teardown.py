"""The end of the platform: its cluster and all that is billed for it is deleted, once its name is typed."""

from tideflow.operations import teardown
from tideflow.operations.running import settings

teardown.everything(name="Teardown", doomed=teardown.confirmed(), timeout=settings().timeout_seconds)
