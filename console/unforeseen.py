"""What nobody raised on purpose is told like the rest: without details, and with every security header."""

from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.guarded import HTTPS_ONLY, SECURITY_HEADERS
from console.origin import is_api
from console.problems import INTERNAL, problem_response
from console.rendering import Pages

SAID = "Nothing more is told here; the console's log says what happened."
STATIC = "/static/"


def tell_unforeseen(app: FastAPI, pages: Pages, public_url: str | None) -> None:
    """The framework answers such an error outside of every layer of ours, so the headers are put on here."""
    headers = dict(SECURITY_HEADERS)
    if urlsplit(public_url or "").scheme == "https":
        headers["Strict-Transport-Security"] = HTTPS_ONLY

    async def broken(request: Request, _: Exception) -> Response:
        if is_api(request):
            answer: Response = problem_response(INTERNAL, request, SAID)
        else:
            answer = pages.error(request, INTERNAL.status, INTERNAL.title, SAID)
        answer.headers.update(headers)
        return answer

    app.add_exception_handler(Exception, broken)


class NoCopies:
    """Whatever is about somebody or some moment is kept by no browser and no proxy; only our static files are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        ours = scope["type"] == "http" and not scope["path"].startswith(STATIC)
        await self._app(scope, receive, marked if ours else send)
