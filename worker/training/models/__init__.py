"""What is trained: a file for each kind of model."""
