"""Compares the API with its own OpenAPI document. Schemathesis makes the requests, also along the document's links."""
