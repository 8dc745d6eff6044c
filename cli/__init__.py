"""The command `fitstop`, and the client that it is made of.

The law of this folder: it talks HTTP and nothing else, and it starts the local stack as processes of their own. It
imports neither `api` nor `worker`, and no Keras or TensorFlow.
"""
