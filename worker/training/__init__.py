"""The training program: `python -m worker.training <attempt folder>`.

The law of this folder: it knows the attempt's folder and nothing else: no Redis, no Celery, no API. All that is true
of a run is a file in that folder. Only here are Keras and TensorFlow imported.
"""
