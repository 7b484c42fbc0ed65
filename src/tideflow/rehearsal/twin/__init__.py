"""A twin of DigitalOcean's API on this machine, as far as clusters need it.

It answers as the OpenAPI description says, and changes state over time, faster by a factor than the real one.
Its clusters are real control planes, its 1-clicks real objects in them.
"""
