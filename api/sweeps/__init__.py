"""Sweeps: many trials of one job's spec under one budget. Workers propose the trials; each trial is a job."""
