"""Uploaded weights: receive, describe, list and remove them. The API never reads their arrays."""
