"""What one API process holds between two requests: settings, index, caches, counters.

The rule of this folder: no view lives here, and all of it may be dropped at any moment; the volume and Redis have it.
"""
