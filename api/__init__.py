"""HTTP in, JSON out: what Fitstop serves.

The law of this folder: it never imports `worker`, Keras or TensorFlow, and reads no data file itself.
"""
