"""Clients of the two APIs Tideflow talks to: the only modules that open a connection."""
