"""Webhooks and Apprise addresses: the routes, and the process that sends, `python -m api.webhooks`.

The rule of this folder: the API process only stores webhooks and reads deliveries. It sends nothing and resolves no
host names. Only the sender connects to the addresses of users, through `guard`. For an Apprise address it starts a
process for each message (`apprise_child`).
"""
