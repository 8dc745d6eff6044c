"""The throw-away process that reads an uploaded program: `python -m api.programs.ingest <folder>`.

The rule of this folder: it is never imported by the API process, and it compiles what was uploaded without running it.
"""
