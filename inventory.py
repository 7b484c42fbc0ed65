"""Which platforms a run is about.

TIDEFLOW_PLATFORM and DIGITALOCEAN_ACCESS_TOKEN in the environment make it the real platform of that name;
otherwise it is a rehearsal on this machine. Several may stand here and run side by side:
``platforms = ["@doks/team-a", "@doks/team-b"]``, or ``["@kubeconfig/<context>"]`` for a cluster of any kind
that exists already.
"""

from os import environ as _environment

from tideflow.connectors.inventory import platform as _platform

platforms = [_platform(_environment)]
