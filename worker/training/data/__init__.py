"""Training data: a file for each kind of data."""
