"""What the command shows: live pictures, curves, tables, the words of a job's end."""
