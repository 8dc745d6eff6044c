"""A volume in a bucket, and the local folder that stands for it.

All other code reads and writes the folder, as with a volume on a filesystem. A file that decides a race is created in
the bucket first and then in the folder (`mirror`). Looks every few seconds download what others have changed (`pull`).
What a training process writes is uploaded while it trains (`push`). The files have the same names in both places. The
folder may be lost at any moment: it alone has only what the attempts of this machine have not uploaded yet.
"""
