"""The machine that a worker has: its devices, libraries and memory, and whether it trains."""
