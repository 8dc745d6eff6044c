"""The command `fitstop`: a file for each group of commands."""
