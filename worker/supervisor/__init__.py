"""The worker's own process:

claims jobs, starts training processes, sends heartbeats, and records how attempts ended. The rule of this folder: it
imports neither Keras nor `worker.training`, not even inside a function.
"""
