"""The command `fitstop`, and the client that it is made of.

Rules of this folder: it talks only HTTP, and it starts the local stack as separate processes. It
imports neither `api` nor `worker`, and no Keras or TensorFlow.
"""
