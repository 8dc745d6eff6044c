"""The worker's own process: claims, starts a training process, beats, and records how it ended.

The law of this folder: it imports neither Keras nor `worker.training`, not even inside a function.
"""
