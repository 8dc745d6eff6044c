"""Webhooks and Apprise addresses: the routes, and the process that sends, `python -m api.webhooks`.

The rule of this folder: the API process only keeps records and reads deliveries. It sends nothing and resolves no name.
The sender alone connects to what users named, through `guard`, and an address of Apprise is used in a process that ends
after each message (`apprise_child`).
"""
