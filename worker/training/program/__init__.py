"""A user's own script as a job: its box, its requirements, and the training run around its `model.fit`."""
