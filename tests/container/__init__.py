"""Tests of the built image, with the compose files and as one container; `run` builds the image and starts them.

They use only the standard library, because they run on the machine's own Python.
"""
