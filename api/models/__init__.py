"""Weights from outside: received, described, listed and removed. Nothing here reads an array of them."""
