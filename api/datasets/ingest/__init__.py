"""The throw-away process that parses an upload: `python -m api.datasets.ingest <folder>`.

The rule of this folder: the API process never imports it, and only it parses and decodes uploads. A harmful upload
(that takes all memory, never ends or crashes) only harms this process.
"""
