"""The machine of a worker: its devices, libraries and memory, and whether training works on it."""
