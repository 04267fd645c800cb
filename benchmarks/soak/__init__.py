"""The soak: the service under a steady load for an hour or more, and whether anything in it grows."""
