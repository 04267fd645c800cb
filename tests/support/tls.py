"""A certificate for localhost, and Redis's directives to use it."""

from pathlib import Path

import trustme


def certificates(folder: Path) -> tuple[dict[str, str], Path]:
    """Make a certificate for localhost; return Redis's directives and the authority's file."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    names = {"tls-cert-file": "cert.pem", "tls-key-file": "key.pem", "tls-ca-cert-file": "ca.pem"}
    directives = {name: str(folder / file) for name, file in names.items()}
    return directives | {"tls-auth-clients": "no"}, folder / "ca.pem"
