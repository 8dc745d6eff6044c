"""The routes under /datasets: uploads are received here and parsed in a process apart (`api.datasets.ingest`)."""
