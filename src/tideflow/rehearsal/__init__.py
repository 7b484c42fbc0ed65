"""A rehearsal: a real Kubernetes control plane and a twin of the API of DigitalOcean on this machine."""
