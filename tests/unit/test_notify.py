"""Mail and webhooks against real servers on this machine: signed, bounded, repeatable, and led astray by nothing."""

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from standardwebhooks import Webhook

from connectors.notify import SignedWebhook, SmtpMail, refused_address
from workflows.domain.errors import InvalidInput, Unavailable
from workflows.domain.notices import Channel, Family, Notice, NoticeLine, Outgoing

SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four b").decode()
OTHER = "whsec_" + base64.b64encode(b"another one of 24 bytes or").decode()


def outgoing(channel: Channel = Channel.MAIL, address: str = "ada@shop.example", title: str = "2 tasks") -> Outgoing:
    line = NoticeLine(subject="LEEDS:X:1", words="Crème brûlée at LEEDS", url="https://stock.example/tasks/LEEDS:X:1")
    notice = Notice(family=Family.DIGEST, person="Ada", title=title, lines=(line,), url="https://stock.example/inbox")
    at = datetime(2025, 3, 3, tzinfo=UTC)
    return Outgoing(notice_id="abc", channel=channel, address=address, notice=notice, created_at=at)


class Mailbox:
    """What the mail server took. `answer` is what it says to a recipient."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.answer = "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, message_from_bytes(envelope.content)))
        return "250 taken"


@asynccontextmanager
async def mail_server(mailbox: Mailbox) -> AsyncIterator[str]:
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(mailbox), "127.0.0.1", 0)
    async with server:
        yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_mail_arrives_with_its_numbers_and_the_same_id_each_time() -> None:
    mailbox = Mailbox()
    async with mail_server(mailbox) as url:
        mail = SmtpMail(url, "quartermaster@shop.example")
        await mail.send(outgoing())
        await mail.send(outgoing())
    (sender, to, first), (_, _, second) = mailbox.mails
    assert (sender, to, first["Subject"]) == ("quartermaster@shop.example", ["ada@shop.example"], "2 tasks")
    assert first["Message-ID"] == second["Message-ID"] == "<abc@quartermaster>"
    assert "Crème brûlée" in first.get_payload(decode=True).decode()


async def test_what_the_mail_server_says_decides_whether_it_is_tried_again() -> None:
    mailbox = Mailbox()
    async with mail_server(mailbox) as url:
        mail = SmtpMail(url, "quartermaster@shop.example")
        mailbox.answer = "550 no such mailbox"
        with pytest.raises(InvalidInput, match="no such mailbox"):
            await mail.send(outgoing())
        mailbox.answer = "451 later"
        with pytest.raises(Unavailable, match="later"):
            await mail.send(outgoing())
        for address in ("a@b\r\nBcc: everybody@shop.example", "a@b, c@d", "Ada <a@b>", "a@b@c", "", "a@b c@d"):
            with pytest.raises(InvalidInput, match="Ada has no mail address") as refused:
                await mail.send(outgoing(address=address))
            assert not address or address not in str(refused.value), "what is said is logged"
    with pytest.raises(Unavailable):
        await SmtpMail("smtp://127.0.0.1:9", "q@shop.example").send(outgoing())


@pytest.mark.parametrize("url", ["http://mail", "smtp://", "smtp://host/path", "smtp://host?x=1"])
def test_an_address_of_no_mail_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="smtp://"):
        SmtpMail(url, "q@shop.example")


class Receiver:
    """A webhook's receiver: remembers, and answers as told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status, self.headers, self.body = 204, dict[str, str](), b""


@contextmanager
def receiving(receiver: Receiver) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append((dict(self.headers), body))
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(receiver.body)))
            self.end_headers()
            try:
                self.wfile.write(receiver.body)
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def hook(port: int, *secrets: str, host: str = "127.0.0.1", **more: Any) -> SignedWebhook:
    return SignedWebhook(f"http://{host}:{port}/in", secrets or (SECRET,), allow_private=True, **more)


async def test_a_webhook_is_signed_with_every_secret_and_says_who_it_is() -> None:
    receiver = Receiver()
    with receiving(receiver) as port:
        await hook(port, OTHER, SECRET).send(outgoing(Channel.WEBHOOK))
    headers, body = receiver.got[0]
    for secret in (SECRET, OTHER):
        document = Webhook(secret).verify(body, headers)
    assert document["type"] == "quartermaster.notice.digest"
    assert document["data"]["title"] == "2 tasks"
    lowered = {name.lower(): value for name, value in headers.items()}
    assert lowered["webhook-id"] == "abc"
    with pytest.raises(Exception, match="No matching"):
        Webhook(SECRET).verify(body.replace(b"2 tasks", b"9 tasks"), headers)
    assert json.loads(body)["text"].startswith("2 tasks")


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 429, 500, 503])
async def test_only_a_2xx_says_that_it_was_taken_and_no_redirect_is_followed(status: int) -> None:
    receiver = Receiver()
    with receiving(receiver) as port:
        receiver.status, receiver.headers = status, {"Location": f"http://127.0.0.1:{port}/elsewhere"}
        with pytest.raises(Unavailable, match=str(status)):
            await hook(port).send(outgoing(Channel.WEBHOOK))
    assert len(receiver.got) == 1


async def test_a_receiver_that_wants_no_more_and_one_that_says_too_much() -> None:
    receiver = Receiver()
    with receiving(receiver) as port:
        receiver.status = 410
        with pytest.raises(InvalidInput, match="no more"):
            await hook(port).send(outgoing(Channel.WEBHOOK))
        receiver.status, receiver.body = 200, b"x" * 20_000_000
        await hook(port).send(outgoing(Channel.WEBHOOK))
    with pytest.raises(Unavailable):
        await hook(9).send(outgoing(Channel.WEBHOOK))


async def test_a_name_that_leads_inside_is_not_followed() -> None:
    async def inside(host: str, port: int) -> list[str]:
        return ["93.184.215.14", "169.254.169.254"]

    with pytest.raises(InvalidInput, match="never called"):
        await SignedWebhook("https://hook.example/", (SECRET,), resolve=inside).send(outgoing(Channel.WEBHOOK))
    for url in ("https://127.0.0.1/", "https://2130706433/", "https://localhost/", "https://[::ffff:127.0.0.1]/"):
        with pytest.raises(InvalidInput, match="QM_WEBHOOK_ALLOW_PRIVATE"):
            await SignedWebhook(url, (SECRET,)).send(outgoing(Channel.WEBHOOK))


@pytest.mark.parametrize(
    ("address", "private", "encrypted", "why"),
    [
        ("93.184.215.14", False, True, ""),
        ("10.0.0.8", False, True, "not public"),
        ("10.0.0.8", True, True, ""),
        ("10.0.0.8", True, False, "use https"),
        ("127.0.0.1", True, False, ""),
        ("169.254.169.254", True, True, "never"),
        ("::ffff:169.254.169.254", True, True, "never"),
        ("fe80::1%eth0", True, True, "never"),
        ("fd00:ec2::254", True, True, "never"),
        ("0.0.0.0", True, True, "never"),  # noqa: S104 - it is refused
        ("::1", False, True, "not public"),
        ("100.64.0.1", False, True, "not public"),
    ],
)
def test_which_addresses_are_called(address: str, private: bool, encrypted: bool, why: str) -> None:
    said = refused_address(address, allow_private=private, encrypted=encrypted)
    assert why in said
    assert bool(why) == bool(said)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1",
     "::169.254.169.254", "::ffff:0:169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192",
     "fd00:ec2::254", "fe80::1%eth0", "0.0.0.0", "::", "224.0.0.1"],  # noqa: S104 - it is refused
)  # fmt: skip
def test_where_a_cloud_tells_its_secrets_is_never_called_in_no_spelling(address: str) -> None:
    assert refused_address(address, allow_private=True, encrypted=True) == "never called"


@pytest.mark.parametrize("address", ["64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "::1", "64:ff9b::a00:1"])
def test_a_private_address_within_another_is_private(address: str) -> None:
    assert "not public" in refused_address(address, allow_private=False, encrypted=True)


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("http://hook.example/", (SECRET,)),
        ("https://user:pw@hook.example/", (SECRET,)),
        ("ftp://hook.example/", (SECRET,)),
        ("https://hook.example/", ()),
        ("https://hook.example/", ("whsec_c2hvcnQ=",)),
        ("https://hook.example/", ("whsec_***",)),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_start(url: str, secrets: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="webhook"):
        SignedWebhook(url, secrets)
