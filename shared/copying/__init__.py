"""Copying a whole volume from one store to another: `python -m shared.copying FROM TO`, run by `fitstop volume copy`.

The rule of this folder: a copy is complete or not a volume. The volume's marker is the last file that is written, the
target records what was copied, and the same command continues an interrupted copy.
"""
