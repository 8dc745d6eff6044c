"""Copying a whole volume from one store to another: `python -m shared.copying FROM TO`, run by `fitstop volume copy`.

The law of this folder: a copy is whole or it is no volume. The volume's marker is the last file that is written, what
was copied is on record in the target, and a copy that was killed is continued by the same command.
"""
