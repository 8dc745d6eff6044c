"""The server: connections, threads, and the checks before other machines can reach it.

It contains no route. `api.create_app` makes the application; this folder serves it.
"""
