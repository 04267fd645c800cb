"""The four S3 operations of the load, and the payloads they move."""
