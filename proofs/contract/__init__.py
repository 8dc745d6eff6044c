"""The API against its own document: Schemathesis makes the requests, also along the document's links."""
