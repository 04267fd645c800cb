"""HTTP/1.1 client transports with the interface of httpx; `transport.py` is the entry point."""
