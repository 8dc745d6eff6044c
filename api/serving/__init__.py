"""What listens: the server, its logs, and what must hold before others can reach it.

No route lives here. `api.create_app` makes the application; this folder serves it.
"""
