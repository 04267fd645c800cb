"""The soak test: runs the service under steady load for an hour or more and looks for growth."""
