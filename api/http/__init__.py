"""HTTP for all routes: bodies, queries, problems, ranges, and the handling of every request.

The rule of this folder: it knows nothing about jobs, datasets and routes.
"""
