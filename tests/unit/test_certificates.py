"""Of everything that we call by TLS: an authority counts when it is a public one or named, and not otherwise."""

import json
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from connectors.anchors import UrlAnchor
from connectors.notify import SignedWebhook, SmtpMail
from connectors.oidc import OidcProvider, Registration
from connectors.oidc_claims import Claims
from tests.faults.tls import TlsFront
from tests.tls_serving import secured, serving
from tests.unit.test_notify import SECRET, Mailbox, mail_server, outgoing
from workflows.domain.errors import InvalidInput, Unavailable
from workflows.domain.notices import Channel


class _Anybody(BaseHTTPRequestHandler):
    """Takes every note and notice, and describes itself as an identity provider."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        here = f"https://{self.headers['Host']}"
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        body = json.dumps({"issuer": here, **{name: f"{here}/{name}" for name in names}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


async def _anchored(url: str) -> None:
    UrlAnchor(url).post("a note\n", attempts=1)


async def _noticed(url: str) -> None:
    await SignedWebhook(url, (SECRET,), allow_private=True).send(outgoing(Channel.WEBHOOK))


async def _signed_in(url: str) -> None:
    claims = Claims(roles=None, mapping={}, locations=None, approval_limit=None)
    registration = Registration(issuer=url, client_id="us", redirect_uri="https://us.example/back", claims=claims)
    provider = OidcProvider(registration, b"k" * 32)
    try:
        await provider.begin("a flow")
    finally:
        await provider.aclose()


CALLERS: dict[str, Callable[[str], Awaitable[None]]] = {
    "an anchor": _anchored, "a webhook": _noticed, "an identity provider": _signed_in,
}  # fmt: skip
everybody = pytest.mark.parametrize("called", CALLERS.values(), ids=CALLERS.keys())


@pytest.fixture
def front(tmp_path: Path) -> Iterator[TlsFront]:
    with serving(_Anybody, tmp_path) as made:
        yield made


@everybody
async def test_an_authority_that_nobody_named_is_not_believed(
    called: Callable[[str], Awaitable[None]], front: TlsFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(Unavailable) as refused:
        await called(front.url)
    assert "CERTIFICATE_VERIFY_FAILED" in repr(refused.value.__cause__)


@everybody
async def test_the_one_that_is_named_is(
    called: Callable[[str], Awaitable[None]], front: TlsFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(front.certificates.authority))
    await called(front.url)
    assert front.counts["handshakes"] == 1


@everybody
async def test_one_that_cannot_be_read_is_said_at_once(
    called: Callable[[str], Awaitable[None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(InvalidInput, match="SSL_CERT_FILE"):
        await called("https://127.0.0.1:1")


async def test_mail_goes_to_a_server_of_a_named_authority_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = Mailbox()
    async with mail_server(mailbox) as plain:
        with secured(int(plain.rpartition(":")[2]), tmp_path) as front:
            url = front.url.replace("https://", "smtps://")
            monkeypatch.delenv("SSL_CERT_FILE", raising=False)
            with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
                await SmtpMail(url, "quartermaster@shop.example").send(outgoing())
            monkeypatch.setenv("SSL_CERT_FILE", str(front.certificates.authority))
            await SmtpMail(url, "quartermaster@shop.example").send(outgoing())
    assert len(mailbox.mails) == 1
