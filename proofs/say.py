"""Prints a line of a proof at once: its output is often a pipe, and its reader waits for hours."""

from functools import partial

say = partial(print, flush=True)
