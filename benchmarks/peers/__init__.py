"""The peers: the same work as a competent user of another stack would implement it."""
