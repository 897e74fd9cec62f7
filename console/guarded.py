"""Every answer carries the security headers; requests for another host, and bodies too large or unsized, end here."""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.origin import is_api
from console.problems import BAD_REQUEST, NO_LENGTH, TOO_LARGE, Problem, problem_response
from workflows.domain.files import MAX_FILE_BYTES

MAX_BODY_BYTES = 65_536
"""A verdict is a few hundred bytes; nobody sends us more."""
FILES = ("/files/", "/api/v1/files/")
"""Only where spreadsheets come in may a body be as large as `MAX_FILE_BYTES`."""
PROBES = ("/livez", "/readyz")
"""Asked by machines that know the process by its address, not by its name."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
HTTPS_ONLY = "max-age=31536000"
"""A year; of this host alone, because we know nothing of the ones below it."""


class Guarded:
    """The outermost layer. `public_url` is the address that browsers use; None: any host is answered."""

    def __init__(self, app: ASGIApp, public_url: str | None = None) -> None:
        self._app = app
        parts = urlsplit(public_url or "")
        self._host = parts.netloc.lower() or None
        self._headers = dict(SECURITY_HEADERS)
        if parts.scheme == "https":
            self._headers["Strict-Transport-Security"] = HTTPS_ONLY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, guarded)
        else:
            await self._app(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        asked = headers.get("host", "").lower()
        if self._host is not None and asked != self._host and scope["path"] not in PROBES:
            return PlainTextResponse("not the name of this console", HTTPStatus.MISDIRECTED_REQUEST)
        if "transfer-encoding" in headers:
            return _told(scope, NO_LENGTH, "say how long the body is")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            return _told(scope, BAD_REQUEST, "say how long the body is")
        most = MAX_FILE_BYTES if scope["path"].startswith(FILES) else MAX_BODY_BYTES
        if int(length) > most:
            return _told(scope, TOO_LARGE, f"too large: at most {most:,} bytes are taken here")
        return None


def _told(scope: Scope, problem: Problem, detail: str) -> Response:
    request = Request(scope)
    if is_api(request):
        return problem_response(problem, request, detail)
    return PlainTextResponse(detail, problem.status)
