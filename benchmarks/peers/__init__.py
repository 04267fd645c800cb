"""The peers: the same worker as a competent user of another stack would write it."""
