"""What the command shows in a terminal: live views, curves, tables, and how a job has ended."""
