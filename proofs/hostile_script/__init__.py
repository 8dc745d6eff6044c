"""A script that attacks the machine it runs on, and its results: as a program in the sandbox, by user and by kernel.

`script.py` is the program. `stand.py` runs it in a sandbox of its own, with victims around it, and `service.py` as a
job of a whole service. Both judge from outside, too: a script may say what it likes.
"""
