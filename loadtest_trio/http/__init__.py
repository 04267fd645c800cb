"""HTTP/1.1 on Trio sockets: the client transport under httpx and the ASGI servers."""
