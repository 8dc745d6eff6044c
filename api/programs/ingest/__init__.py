"""The throw-away process that reads an uploaded program: `python -m api.programs.ingest <folder>`.

The rule of this folder: the API process never imports it, and it compiles the upload without running it.
"""
