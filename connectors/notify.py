"""Sends notices by mail and by signed webhook, to where the operator said and nowhere that an address leads astray.

    mail       smtp://[user:password@]host[:587] with STARTTLS, smtps://...[:465] with TLS from the start
    webhook    https only, addresses that are not public only if the operator allows them, no redirect is followed

Both repeat a message under its own id, so that whoever takes it can recognise it.
"""

import asyncio
import base64
import ipaddress
import json
import re
import smtplib
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

import httpx
from standardwebhooks import Webhook

from connectors.certificates import believed, believed_for
from workflows.domain.errors import InvalidInput, Unavailable
from workflows.domain.failpoints import Effect
from workflows.domain.identity import plain
from workflows.domain.notices import Outgoing

TIMEOUT_SECONDS = 20.0
MAX_ANSWER_BYTES = 64 * 1024
METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
"""Never called, whatever is allowed: where clouds tell a machine its secrets; those of further ones are link-local."""
_IPV4_WITHIN = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96")))
"""IPv6 addresses that a network may turn into the IPv4 address of their last 32 bits (RFC 4291, 6052, 8215, 2765)."""

_ONE_ADDRESS = re.compile(r"[^@\s<>,;:\"()\[\]\\\x00-\x1f]{1,64}@[^@\s<>,;:\"()\x00-\x1f]{1,255}")
"""One address and not several, without a name, a route or a header of its own."""

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host."""


class SmtpMail:
    """Mail over SMTP. Without TLS only to this machine; a certificate that is not valid is never accepted."""

    def __init__(self, url: str, sender: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """`url` may carry a user and a password.

        Raises:
            ValueError: it is no address of a mail server.
            InvalidInput: SSL_CERT_FILE names no certificates.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("a mail server is smtp://[user:password@]host[:port], or smtps:// for TLS from the start")
        self._tls = parts.scheme == "smtps"
        self._host, self._port = parts.hostname, parts.port or (465 if self._tls else 587)
        self._login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._sender, self._timeout_s = sender, timeout_seconds
        self._context = believed()

    async def send(self, outgoing: Outgoing) -> None:
        """Hand one mail to the server.

        Raises:
            Unavailable: the server did not take it now.
            InvalidInput: the server will not take it, or the address is none.
        """
        try:
            message = self._message(outgoing)
            async with Effect("mail.send"):
                await asyncio.to_thread(self._deliver, message, outgoing.address)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPResponseException) as error:
            told = _said(error)
            raise (InvalidInput if _final(error) else Unavailable)(f"the mail server said: {told}") from error
        except (smtplib.SMTPException, OSError) as error:  # SSLError is an OSError
            raise Unavailable(
                f"{self._host}:{self._port} took no mail: {type(error).__name__}: {error}"[:300]
            ) from error

    def _message(self, outgoing: Outgoing) -> EmailMessage:
        if _ONE_ADDRESS.fullmatch(outgoing.address) is None:
            # Not the address itself: what is said here is logged.
            raise InvalidInput(f"{outgoing.notice.person} has no mail address that mail can be sent to")
        message = EmailMessage()
        message["From"], message["To"] = self._sender, outgoing.address
        message["Subject"] = " ".join(outgoing.notice.title.split())
        message["Date"] = format_datetime(outgoing.created_at)
        message["Message-ID"] = f"<{outgoing.notice_id}@quartermaster>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(outgoing.notice.text)
        return message

    def _deliver(self, message: EmailMessage, address: str) -> None:
        opened: smtplib.SMTP
        if self._tls:
            opened = smtplib.SMTP_SSL(self._host, self._port, timeout=self._timeout_s, context=self._context)
        else:
            opened = smtplib.SMTP(self._host, self._port, timeout=self._timeout_s)
        with opened as server:
            if not self._tls:
                server.ehlo()
                if server.has_extn("starttls"):
                    server.starttls(context=self._context)
                elif not _is_loopback(server):
                    raise smtplib.SMTPNotSupportedError("it offers no TLS, and mail leaves this machine only with it")
            if self._login:
                server.login(*self._login)
            server.send_message(message, to_addrs=[address])


class SignedWebhook:
    """Posts notices as JSON, signed as Standard Webhooks 1.0 says; two secrets while one replaces the other."""

    def __init__(
        self, url: str, secrets: Sequence[str], *, allow_private: bool = False, resolve: Resolver | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:  # fmt: skip
        """`secrets`: each `whsec_` and base64 of at least 24 bytes.

        Raises:
            ValueError: the address or a secret cannot be used.
            InvalidInput: SSL_CERT_FILE names no certificates.
        """
        parts = httpx.URL(url)
        if parts.userinfo or not parts.host or parts.scheme not in ({"https", "http"} if allow_private else {"https"}):
            raise ValueError("a webhook's address is https://host/path, without a user")
        self._url, self._private, self._resolve = parts, allow_private, resolve or _resolve
        if not secrets:
            raise ValueError("a webhook needs a secret to be signed with")
        self._signers = [Webhook(_secret(text)) for text in secrets]
        self._timeout_s = timeout_seconds
        self._verify = believed_for(parts.scheme)

    async def send(self, outgoing: Outgoing) -> None:
        """Post one notice; a 2xx says that it was taken.

        Raises:
            Unavailable: it was not taken now.
            InvalidInput: the receiver wants no more of them (410), or the address is one that may not be called.
        """
        body = json.dumps(
            {
                "type": f"quartermaster.notice.{outgoing.notice.family}",
                "timestamp": plain(outgoing.created_at),
                "text": outgoing.notice.text,
                "data": outgoing.notice.model_dump(mode="json"),
            },
            ensure_ascii=False, separators=(",", ":"),
        )  # fmt: skip
        now = datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "Host": self._url.netloc.decode(),
            "webhook-id": outgoing.notice_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(outgoing.notice_id, now, body) for signer in self._signers),
        }
        try:
            async with Effect("webhook.post"), asyncio.timeout(self._timeout_s):
                status = await self._post(body.encode(), headers)
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            raise Unavailable(f"the webhook did not answer: {type(error).__name__}: {error}"[:300]) from error
        if status == httpx.codes.GONE:
            raise InvalidInput("the webhook's receiver wants no more notices (410)")
        if not 200 <= status < 300:
            raise Unavailable(f"the webhook answered {status}; only 2xx says that it has the notice")

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        port = self._url.port or (443 if self._url.scheme == "https" else 80)
        address = await self._checked(self._url.host, port)
        # To the address that was checked: a name that changes its mind in between leads nowhere else.
        url = self._url.copy_with(host=address)
        extensions = {"sni_hostname": self._url.host}
        timeout = httpx.Timeout(self._timeout_s, connect=5.0)
        async with httpx.AsyncClient(
            follow_redirects=False, trust_env=False, timeout=timeout, verify=self._verify
        ) as client:
            request = client.build_request("POST", url, content=body, headers=headers, extensions=extensions)
            answer = await client.send(request, stream=True)
            try:
                read = 0
                async for part in answer.aiter_raw():
                    read += len(part)
                    if read > MAX_ANSWER_BYTES:
                        break
            finally:
                await answer.aclose()
            return answer.status_code

    async def _checked(self, host: str, port: int) -> str:
        found = await self._resolve(host, port)
        if not found:
            raise Unavailable(f"{host} has no address")
        for text in found:
            if why := refused_address(text, allow_private=self._private, encrypted=self._url.scheme == "https"):
                raise InvalidInput(f"the webhook's host {host} is at {text}, which is {why}")
        return found[0]


def refused_address(text: str, *, allow_private: bool, encrypted: bool) -> str:
    """Why this address is not called; empty when it may be."""
    address = _meant(ipaddress.ip_address(text.split("%")[0]))
    if address.is_link_local or address.is_multicast or address.is_unspecified or address in METADATA:
        return "never called"
    if not encrypted and not address.is_loopback:
        return "not this machine: use https"
    if not address.is_global and not allow_private:
        return "not public; QM_WEBHOOK_ALLOW_PRIVATE=true allows it"
    return ""


def _meant(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address that an IPv6 address leads to, where it does (RFC 3056, 4380 and those above)."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    within = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if within is not None:
        return within
    if any(address in network for network in _IPV4_WITHIN) and int(address) > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _secret(text: str) -> bytes:
    try:
        secret = base64.b64decode(text.strip().removeprefix("whsec_"), validate=True)
    except ValueError:
        raise ValueError("a webhook's secret is `whsec_` and base64") from None
    if len(secret) < 24:
        raise ValueError("a webhook's secret has at least 24 bytes")
    return secret


async def _resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _is_loopback(server: smtplib.SMTP) -> bool:
    with suppress(OSError, ValueError, AttributeError):
        return bool(server.sock and ipaddress.ip_address(server.sock.getpeername()[0]).is_loopback)
    return False


def _final(error: smtplib.SMTPException) -> bool:
    """A 5xx about the recipient or the message; one about us (login) may be mended by the operator."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPAuthenticationError | smtplib.SMTPConnectError | smtplib.SMTPHeloError):
        return False
    return isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500


def _said(error: smtplib.SMTPException) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{code} {_text(words)}" for code, words in error.recipients.values())[:300]
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"[:300]
    return str(error)[:300]


def _text(words: bytes | str) -> str:
    return words.decode(errors="replace") if isinstance(words, bytes) else str(words)
