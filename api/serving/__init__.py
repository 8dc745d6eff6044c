"""The server: connections, threads, and the checks before other machines can reach it.

It contains no route. `api.create_app` creates the application; this folder serves it.
"""
