"""Sweeps: many trials of one job's spec under one budget. What is true of a sweep is in its folder and in its jobs'.

Pure but for reading the volume: no Flask, no Celery, and Optuna only where a trial is proposed (`proposal`).
"""
