"""A hand works on a world as people and machines do, and repeats what it got no answer to, as a good client does."""

import http.client
import http.cookiejar
import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen

from console.auth import api_token, sign_in_token
from tests.faults.story import Story
from tests.faults.world import World
from workers.settings import PREFIX
from workers.wiring import console_key

PATIENCE_S = 60.0
AGAIN_AFTER_S = 0.3
COMMAND_WITHIN_S = 90.0
TRIES = 4
DONE_BEFORE = ("already", "any more", "Nobody is known here")
OKAY = (200, 201, 202, 204)


class NoAnswer(AssertionError):
    """What was asked for was refused, or did not come to an end however often it was repeated."""


class Hand:
    """Works on one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.teller = Story(world, place="P000")
        """For calls that are no story's."""

    def call(
        self, method: str, path: str, body: Any = None, *, person: str = "pat", okay: tuple[int, ...] = OKAY
    ) -> Any:
        """One command through REST, repeated under its one Idempotency-Key until it is answered; the answer.

        Raises:
            NoAnswer: it was refused, or nothing came.
        """
        command = uuid.uuid4().hex

        headers = {"Content-Type": "application/json", "Idempotency-Key": command}
        said = None if body is None else json.dumps(body).encode()
        return as_json(self.ask(method, path, said, headers, person=person, okay=okay).decode() or "null")

    def read(self, path: str, *, person: str = "pat", token: str = "") -> bytes:
        """Fetch something, whatever its form, until it comes."""
        return self.ask("GET", path, None, {}, person=person, token=token)

    def ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], *, person: str = "pat",
        token: str = "", okay: tuple[int, ...] = OKAY,
    ) -> bytes:  # fmt: skip
        """A request, repeated as it is until it is answered.

        Raises:
            NoAnswer: it was refused, or nothing came.
        """
        settings = self.world.settings
        address = f"http://{settings.console_host}:{settings.console_port}{path}"
        sent = {**headers, "Authorization": f"Bearer {token or self.token(person)}"}

        def once() -> tuple[int, Any]:
            try:
                with urlopen(Request(address, body, sent, method=method), timeout=30) as answer:
                    return answer.status, answer.read()
            except HTTPError as error:
                return error.code, error.read()

        return bytes(self._repeated(once, okay, f"{method} {path}"))

    def token(self, person: str) -> str:
        """A token for the API."""
        return api_token(console_key(self.world.settings), person)

    def command(self, *arguments: str) -> str:
        """A command of the command line, run again if it did not end well; what it printed.

        Where a second try is told that all was done before, the first was carried out and did not live to say so.

        Raises:
            NoAnswer: it never ended well; the message has what it said last.
        """
        kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        told = self.world.settings.model_copy(update={"failpoints": self.world.failpoints}).environment()
        said = ""
        for attempt in range(TRIES):
            done = subprocess.run(
                [sys.executable, "-m", "workers.cli", *arguments], env={**kept, **told}, capture_output=True, text=True,
                check=False, timeout=COMMAND_WITHIN_S,
            )  # fmt: skip
            if done.returncode == 0:
                return done.stdout
            said = f"exit {done.returncode}: {done.stderr.strip()[-400:]}"
            if attempt and any(words in said for words in DONE_BEFORE):
                return done.stdout
        raise NoAnswer(f"quartermaster {' '.join(arguments)} did not end well, {TRIES} times: {said}")

    def browser(self, person: str = "pat") -> "Browser":
        """A browser of somebody who signed in by a link."""
        return Browser(self, person)

    def _repeated(self, once: Callable[[], tuple[int, Any]], okay: tuple[int, ...], what: str) -> Any:
        deadline, said = time.monotonic() + PATIENCE_S, ""
        while time.monotonic() < deadline:
            try:
                status, answer = once()
            except (OSError, http.client.HTTPException) as error:
                said = f"{type(error).__name__}: {error}"
            else:
                if status in okay:
                    return answer
                said = f"status {status}: {str(answer)[:400]}"
                if status < 500 and status != 429:
                    break
            time.sleep(AGAIN_AFTER_S)
        raise NoAnswer(f"{what} was not carried out: {said}")


class Browser:
    """Cookies and forms. Whatever fails is opened again, and a form is sent again, as people do."""

    def __init__(self, hand: Hand, person: str) -> None:
        self._hand, self._person = hand, person
        settings = hand.world.settings
        self._base = f"http://{settings.console_host}:{settings.console_port}"
        self._opener = build_opener(HTTPCookieProcessor(http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy())))
        self.sign_in()

    def sign_in(self) -> None:
        """By a new link each time: a link opens one session, and its answer may be lost."""
        key = console_key(self._hand.world.settings)
        self._hand._repeated(
            lambda: self._open("/sign-in?" + urlencode({"token": sign_in_token(key, self._person)})), OKAY, "sign in"
        )

    def page(self, path: str) -> str:
        """A page, until it comes."""
        return str(self._hand._repeated(lambda: self._open(path), OKAY, f"page {path}"))

    def send(self, page: str, path: str, fields: dict[str, str], okay: tuple[int, ...] = OKAY) -> str:
        """Fill in a form of this page and send it, anew if no answer came; the page that follows."""

        def once() -> tuple[int, str]:
            status, form = self._open(page)
            if status != 200:
                return status, form
            key = re.search(r'name="csrf" value="([^"]*)"', form)
            given = {**fields, "csrf": key[1] if key else ""}
            return self._open(path, urlencode(given).encode())

        return str(self._hand._repeated(once, okay, f"form {path}"))

    def _open(self, path: str, body: bytes | None = None) -> tuple[int, str]:
        asked = Request(self._base + path, data=body, headers={"Origin": self._base})  # noqa: S310 - our own console
        try:
            with self._opener.open(asked, timeout=30) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except HTTPError as error:
            return error.code, error.read().decode(errors="replace")


def as_json(text: str) -> Any:
    """What a command printed with --json."""
    return json.loads(text)
