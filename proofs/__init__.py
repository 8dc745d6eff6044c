"""Proofs that take minutes or hours; pytest runs a short, seeded part of some of them."""
