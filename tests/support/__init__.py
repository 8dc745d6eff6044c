"""Helpers of several tests: small data, jobs on a volume, real services, waiting with a deadline."""
