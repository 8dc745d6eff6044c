"""Two programs that show that a machine trains, each run in a process of its own."""
