"""What travels on the queue: pure data and the rules about it."""
