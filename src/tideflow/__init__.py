"""Tideflow puts a working Kubeflow on DigitalOcean Kubernetes, and keeps it that way.

Imports go one way: deploys → operations → facts → connectors → engine, rehearsal, vendoring → clients →
errors. Only ``clients`` opens a connection.
"""

from importlib.metadata import version

__version__ = version("tideflow")
