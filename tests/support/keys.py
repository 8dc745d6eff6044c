"""The API key of the tests. All their APIs accept it, and all their clients send it."""

from flask import Flask
from flask.testing import FlaskClient

ADMIN_KEY = "a-key-of-the-tests-that-is-long-enough"
AUTHORIZATION = {"Authorization": f"Bearer {ADMIN_KEY}"}


def authorized(app: Flask, key: str = ADMIN_KEY) -> FlaskClient:
    """A client of `app` that sends `key` with every request."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    return client
