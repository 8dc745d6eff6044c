"""The worker's own process: it claims jobs, starts training processes, sends heartbeats, and records how attempts end.

The rule of this folder: it imports neither Keras nor `worker.training`, not even inside a function.
"""
