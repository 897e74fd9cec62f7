"""Whose word counts for who a server is, of everything that we call by https or mail by TLS: the usual public
authorities, or instead those of SSL_CERT_FILE or SSL_CERT_DIR where one is set. So a private authority is believed (a
supplier's, or that of a company's own identity provider). Nothing else of the environment counts: no proxy, no
password file.
"""

import ssl

import httpx

from workflows.domain.errors import InvalidInput


def believed() -> ssl.SSLContext:
    """A fresh context for our side of a connection.

    Raises:
        InvalidInput: SSL_CERT_FILE or SSL_CERT_DIR names no certificates.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise InvalidInput(
            f"SSL_CERT_FILE or SSL_CERT_DIR names no certificates that can be read ({error}); mend or unset it"
        ) from None


def believed_for(scheme: str) -> ssl.SSLContext | bool:
    """As an HTTP client is told it; an address without TLS needs no certificates to be read, for that takes a while."""
    return believed() if scheme == "https" else True
