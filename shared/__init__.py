"""What a job is and where it is stored.

The rule of this folder: it knows the volume, the queue and the documents of a job, but not HTTP or training. It imports
neither `api` nor `worker` nor `fitstop`, and no Flask, Keras or TensorFlow. Both sides of the service use it: api →
shared ← worker.
"""
