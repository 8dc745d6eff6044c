"""The built image, run as the compose files and as one container; `run` builds it and starts this.

Only the standard library: it runs on the machine's own Python.
"""
