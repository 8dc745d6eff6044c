"""Prints a line of a proof without buffering, because the output is often a pipe and a proof takes hours."""

from functools import partial

say = partial(print, flush=True)
