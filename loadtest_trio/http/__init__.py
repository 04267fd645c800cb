"""HTTP/1.1 on Trio sockets."""
