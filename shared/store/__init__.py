"""Where the files of a volume are stored: a folder, or a bucket of S3 or of a compatible server.

The rule of this folder: it knows names and bytes, and nothing about jobs. `interface.py` says what a store does,
`folder.py` and `bucket.py` implement it, and one suite of tests runs on both. Of the rest of `shared` it needs only
what reads and writes plain files.
"""
