"""The scale benchmark: cost per message by size, memory per worker, and time to the first message."""
