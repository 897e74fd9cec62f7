"""A server that answers over TLS, certified by an authority that nobody knows."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.faults.proxy import Proxies
from tests.faults.tls import TlsFront


@contextmanager
def secured(port: int, folder: Path) -> Iterator[TlsFront]:
    """TLS in front of what listens on this port; `folder` takes the certificates."""
    loop = Proxies()
    front = TlsFront(loop, port, folder)
    try:
        yield front
    finally:
        front.close()
        loop.close()


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], folder: Path) -> Iterator[TlsFront]:
    """An HTTP server of our own behind TLS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        with secured(server.server_port, folder) as front:
            yield front
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
