"""What is measured and told: counters, latencies, health, the log and its metrics lines."""
