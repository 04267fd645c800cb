"""The users benchmark: what a simulated user costs, beside k6 and Locust."""
