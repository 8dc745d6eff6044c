"""The worker: it claims jobs from the queue and trains one at a time in each slot.

The rule of this folder: it never imports Flask or `api`. The worker's own process never imports Keras or TensorFlow. It
claims jobs, starts child processes, sends heartbeats, and records how the children ended, so an out-of-memory error, a
crash or a leak in training cannot end it. Only `worker.training` trains. The worker names it and never imports it.
"""
