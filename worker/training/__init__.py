"""The training program: `python -m worker.training <attempt folder>`.

The rule of this folder: it knows only the attempt's folder: no Redis, no Celery, no API. All state of a run is files in
that folder. Keras and TensorFlow are imported only here.
"""
