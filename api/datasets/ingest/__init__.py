"""The throw-away process that parses an upload: `python -m api.datasets.ingest <folder>`.

The law of this folder: it is never imported by the API process, and it alone parses and decodes what was uploaded. What
an upload can do by that (take all memory, run for ever, crash) it does to this process.
"""
