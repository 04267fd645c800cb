"""Measuring and logging: counters, latencies, health state, the log and its metrics lines."""
