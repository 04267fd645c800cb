"""How an address is written: IPv6 goes in brackets (RFC 3986, 3.2.2)."""


def authority(host: str, port: int) -> str:
    """Return `host:port` as it stands in a URL: ``127.0.0.1:80``, ``[::1]:80``.

    Args:
        host: A name or an address, IPv6 without brackets; a zone (``fe80::1%eth0``) is escaped (RFC 6874).
        port: The port.
    """
    return f"[{host.replace('%', '%25')}]:{port}" if ":" in host else f"{host}:{port}"
