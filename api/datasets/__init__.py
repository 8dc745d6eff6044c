"""The routes under /datasets. They receive uploads, which a separate process parses (`api.datasets.ingest`)."""
