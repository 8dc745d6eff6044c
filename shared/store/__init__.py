"""Where the files of a volume are kept: a folder, or a bucket of S3 and what is compatible.

The law of this folder: it knows names and bytes, and nothing of jobs. `interface.py` says what a store does,
`folder.py` and `bucket.py` do it, and one suite of tests runs on both. Of the rest of `shared` it needs only what
reads and writes plain files.
"""
