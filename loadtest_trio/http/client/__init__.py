"""The client: a transport under httpx."""
