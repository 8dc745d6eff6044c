"""Sweeps: many trials of one job's spec under one budget. The state of a sweep is in its folder and its jobs' folders.

Reads and writes only the volume: no Flask, no Celery, and Optuna only to propose a trial (`proposal`).
"""
