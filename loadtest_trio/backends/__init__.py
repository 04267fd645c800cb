"""The backends: Redis, S3, and local servers of both for tests and first runs."""
