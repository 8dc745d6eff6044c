"""Copies of a job's log for other programs: TensorBoard's event files, and an MLflow server.

The law of this folder: what is copied are the rows of the resumed log, each once, read from the API alone.
"""
