"""One job at a time for each slot: Celery, and the training program.

The law of this folder: it never imports Flask or `api`. The worker's own process never imports Keras or TensorFlow:
it claims, starts a child, beats, and records how the child ended, so that an out-of-memory, a segfault or a leak
cannot take it along. Only `worker.training`, which it names but never imports, trains.
"""
