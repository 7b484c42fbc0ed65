"""The paths of DigitalOcean's API that the twin answers, a module for each kind of thing."""
