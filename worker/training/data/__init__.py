"""What is trained on: a file for each kind of data."""
