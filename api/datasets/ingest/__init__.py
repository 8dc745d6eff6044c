"""The throw-away process that parses an upload: `python -m api.datasets.ingest <folder>`.

The law of this folder: it is never imported by the API process, and it alone knows pyarrow. What an upload can do by
being parsed (take all memory, run for ever, crash) it does to this process.
"""
