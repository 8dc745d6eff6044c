"""Two programs that check that a machine can train, each in its own process."""
