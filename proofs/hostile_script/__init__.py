"""A script that attacks the machine it runs on, and its results: as a program in the sandbox, by user and by kernel.

`script.py` is the program. `stand.py` runs it in a sandbox, with victims around it, and also judges from outside,
because a script may report anything. `tests/container/programs.py` runs it as a job of a whole service.
"""
