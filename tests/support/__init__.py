"""What several tests need: small data, jobs on a volume, real services, waiting with a deadline."""
