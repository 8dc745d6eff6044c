"""State between requests: settings, caches, counters, the index, and the stores of the state folder and of uploads.

The rule of this folder: it contains no view. What a process keeps in memory or in the index may be lost at any moment;
the volume, the state folder and Redis have everything.
"""
