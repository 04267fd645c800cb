"""Messages and jobs: pure data and the rules about it."""
