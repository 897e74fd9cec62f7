"""TLS in front of a server, with certificates made for this run; it resets connections exactly where it is told.

    Break
        HELLO     in the handshake: the client's first word is read, and not answered
        FLIGHT    in the handshake: half of the server's first flight is sent
        REQUEST   the request was read, and is not forwarded: not carried out, and the caller cannot know
        ANSWER    forwarded and carried out; half of the answer's first TLS record is sent

Each is a reset, not an end. Handshakes are broken of the next connections, whoever makes them; the others of the next
request that has these markers, as it is before it is encrypted. `counts` tells what it did, by name.
"""

import asyncio
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.faults.proxy import Proxies

HOST = "127.0.0.1"
CHUNK = 65_536
_LINGER_NOT = struct.pack("ii", 1, 0)
"""Closing with this resets the connection."""


class Break(StrEnum):
    """Where a connection is reset."""

    HELLO = "hello"
    FLIGHT = "flight"
    REQUEST = "request"
    ANSWER = "answer"


@dataclass(frozen=True)
class Certificates:
    """Files: an authority that only this run knows, and what it says of 127.0.0.1."""

    authority: Path
    chain: Path


class _ResetHere(Exception):
    """The connection is to be reset now."""


class TlsFront:
    """Listens with TLS in front of a server that speaks without. Its calls may come from any thread."""

    def __init__(self, proxies: Proxies, port: int, folder: Path) -> None:
        """`port`: where the server behind it listens; `folder`: takes the certificates."""
        self.counts: Counter[str] = Counter()
        """Connections; handshakes that came to their end, or were refused by the client; breaks, by name."""
        self._proxies, self._behind, self._armed = proxies, port, list[tuple[Break, tuple[bytes, ...]]]()
        self.certificates = certified(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificates.chain)
        self._open: set[_Secured] = set()
        self._server = proxies.run(asyncio.start_server(self._take, HOST, 0, limit=CHUNK))
        self.url = f"https://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    def arm(self, at: Break, *markers: bytes) -> None:
        """Break the next connection there; once."""
        self._armed.append((at, markers))

    def cut(self) -> None:
        """Reset what is open: the next request makes a connection of its own."""
        self._proxies.run(self._cut())

    def close(self) -> None:
        """Stop listening, and reset what is open."""
        self._proxies.run(self._close())

    def strikes(self, kinds: tuple[Break, ...], seen: bytes | None = None) -> Break | None:
        """The first armed break of these kinds whose markers (all of them) were seen; it is used up and counted."""
        for armed in self._armed:
            at, markers = armed
            if at in kinds and all(marker in (seen or b"") for marker in markers):
                self._armed.remove(armed)
                self.counts[at] += 1
                return at
        return None

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        link = _Secured(self, self._context, reader, writer)
        self._open.add(link)
        try:
            await link.carry(self._behind)
        except (_ResetHere, ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            link.reset()
        finally:
            self._open.discard(link)
            link.close()

    async def _cut(self) -> None:
        for link in list(self._open):
            link.reset()

    async def _close(self) -> None:
        self._server.close()
        await self._cut()


class _Secured:
    """One connection, decrypted here."""

    def __init__(
        self, front: TlsFront, context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._front, self._reader, self._writer = front, reader, writer
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_side=True)
        self._behind: asyncio.StreamWriter | None = None
        self._seen, self._break = b"", False
        """The request so far; whether its answer is to be broken."""

    def reset(self) -> None:
        """End it by a reset."""
        with suppress(OSError):
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._writer.transport.abort()

    def close(self) -> None:
        """Leave nothing open."""
        for writer in (self._writer, self._behind):
            if writer is not None:
                writer.close()

    async def carry(self, port: int) -> None:
        """Shake hands, and carry both ways until either side ends."""
        if not await self._shaken():
            return
        reader, self._behind = await asyncio.open_connection(HOST, port, limit=CHUNK)
        ways = [asyncio.ensure_future(self._requests(self._behind)), asyncio.ensure_future(self._answers(reader))]
        ended, going = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in going:
            way.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        for way in ended:
            way.result()

    async def _shaken(self) -> bool:
        broken: Break | None = None
        while True:
            if not (chunk := await self._reader.read(CHUNK)):
                return False
            broken = broken or self._front.strikes((Break.HELLO, Break.FLIGHT))
            if broken is Break.HELLO:
                raise _ResetHere
            self._arrived.write(chunk)
            try:
                done = self._tried(self._tls.do_handshake)
            except ssl.SSLError:
                self._front.counts["refused"] += 1
                raise
            await self._flush(half=broken is Break.FLIGHT)
            if done:
                self._front.counts["handshakes"] += 1
                return True

    async def _requests(self, behind: asyncio.StreamWriter) -> None:
        chunk = b""  # what came with the last word of the handshake is there already
        while True:
            self._arrived.write(chunk)
            words = bytearray()
            while self._tried(lambda: words.extend(self._tls.read(CHUNK))):  # noqa: B023 - called at once
                pass
            await self._forward(bytes(words), behind)
            if not (chunk := await self._reader.read(CHUNK)):
                return

    async def _forward(self, words: bytes, behind: asyncio.StreamWriter) -> None:
        self._seen += words
        struck = self._front.strikes((Break.REQUEST, Break.ANSWER), self._seen)
        if struck is Break.REQUEST:
            raise _ResetHere
        self._break = self._break or struck is Break.ANSWER
        behind.write(words)
        await behind.drain()
        await self._flush()

    async def _answers(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(CHUNK):
            self._seen = b""
            self._tls.write(chunk)
            await self._flush(half=self._break)
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        await self._flush()

    async def _flush(self, *, half: bool = False) -> None:
        """Send what is encrypted; half of it, and then nothing more."""
        sent = self._leaving.read()
        self._writer.write(sent[: len(sent) // 2] if half else sent)
        await self._writer.drain()
        if half:
            raise _ResetHere

    @staticmethod
    def _tried(step: Callable[[], object]) -> bool:
        """Whether the step could be done with what has arrived."""
        try:
            step()
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            return False
        return True


def certified(folder: Path) -> Certificates:
    """Make an authority, and a certificate and key for 127.0.0.1, good for a day."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now, ca_name = datetime.now(UTC), _name("An authority of one run")

    def begun(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(issuer_name=ca_name, subject_name=subject, public_key=public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )

    signs = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    authority = (
        begun(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signs, critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        begun(_name(HOST), key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    made = Certificates(folder / "authority.pem", folder / "server.pem")
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    made.authority.write_bytes(authority.public_bytes(pem))
    made.chain.touch(mode=0o600)
    made.chain.write_bytes(secret + leaf.public_bytes(pem))
    return made


def _name(words: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words)])
