"""Models: a file for each kind of model."""
