"""What a job is and where it is kept.

The law of this folder: it knows the volume, the queue and the shape of a job, and nothing of HTTP or of
training. It imports neither `api` nor `worker` nor `fitstop`, and no Flask, Keras or TensorFlow. Both sides of the
service stand on it: api → shared ← worker.
"""
