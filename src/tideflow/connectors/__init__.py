"""pyinfra connectors: a host is a platform, one cluster and all that runs on it."""
