"""Answers computed from a job's history: why it waits or stopped, where it will stop, what it cost."""
