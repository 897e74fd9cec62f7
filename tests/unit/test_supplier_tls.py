"""Orders over TLS: only who proves to be the supplier gets one, and a broken connection says no more than it can."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from connectors.erp.http_address import NOT_SENT, HttpAddress
from tests.faults.tls import Break, TlsFront
from tests.tls_serving import serving
from workflows.domain.errors import InvalidInput

KEY = b"the-order"


class _Supplier(BaseHTTPRequestHandler):
    carried_out = 0

    def do_POST(self) -> None:
        if self.rfile.read(int(self.headers["Content-Length"])) != KEY:
            return  # half a request
        type(self).carried_out += 1
        body = b'{"key": "the-order"}'
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def front(tmp_path: Path) -> Iterator[TlsFront]:
    _Supplier.carried_out = 0
    with serving(_Supplier, tmp_path) as made:
        yield made


async def _ordered(front: TlsFront) -> int:
    address = HttpAddress(front.url, 10, dict)
    try:
        return (await address.ask("POST", "/orders", content=KEY)).status
    finally:
        await address.aclose()


async def test_a_supplier_whose_authority_nobody_named_gets_no_order(
    front: TlsFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(NOT_SENT, match="CERTIFICATE_VERIFY_FAILED"):
        await _ordered(front)
    assert _Supplier.carried_out == 0


async def test_ssl_cert_file_names_the_authority(front: TlsFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(front.certificates.authority))
    assert await _ordered(front) == 201
    assert (_Supplier.carried_out, front.counts["handshakes"]) == (1, 1)


def test_an_authority_that_cannot_be_read_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(InvalidInput, match="SSL_CERT_FILE"):
        HttpAddress("https://127.0.0.1:1", 1, dict)
    HttpAddress("http://127.0.0.1:1", 1, dict)  # needs none


@pytest.mark.parametrize("at", [Break.HELLO, Break.FLIGHT])
async def test_what_broke_in_the_handshake_was_certainly_not_sent(
    front: TlsFront, monkeypatch: pytest.MonkeyPatch, at: Break
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(front.certificates.authority))
    front.arm(at)
    with pytest.raises(NOT_SENT):
        await _ordered(front)
    assert (_Supplier.carried_out, front.counts[at]) == (0, 1)
    assert await _ordered(front) == 201, "a break is used up"


@pytest.mark.parametrize(("at", "carried_out"), [(Break.REQUEST, 0), (Break.ANSWER, 1)])
async def test_what_broke_later_may_have_been_carried_out(
    front: TlsFront, monkeypatch: pytest.MonkeyPatch, at: Break, carried_out: int
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(front.certificates.authority))
    front.arm(at, b"POST /orders", KEY)
    with pytest.raises(httpx.HTTPError) as broken:
        await _ordered(front)
    assert not isinstance(broken.value, NOT_SENT), "nobody can know that"
    assert (_Supplier.carried_out, front.counts[at]) == (carried_out, 1)
