"""Copies of a job's log for other programs: TensorBoard's event files, and an MLflow server.

The rule of this folder: it copies each row of the resumed log once, and reads only the API.
"""
