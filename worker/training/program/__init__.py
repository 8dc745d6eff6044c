"""A user's own script as a job: its sandbox, its requirements, and the training run around `model.fit`."""
