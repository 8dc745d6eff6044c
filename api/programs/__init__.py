"""Programs of users: received, described, listed and removed. Nothing here runs a line of them."""
