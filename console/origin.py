"""Where a request came from: a change that another site's page sends is refused, whatever cookie it carries."""

from urllib.parse import urlsplit

from fastapi import Request

from workflows.domain.errors import NotAllowed


class Forged(NotAllowed):
    """The request was not made on a page of this session: it is recorded as an attempt."""


def same_origin(request: Request, public_url: str | None) -> None:
    """Refuse what a browser says came from another site; clients that are no browsers say nothing.

    `public_url` is the console's address as browsers see it; None: the address of the request itself.

    Raises:
        Forged: the request came from another origin.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        raise Forged("This request came from another site.")
    origin = request.headers.get("origin")
    own = origin_of(public_url) if public_url else f"{request.url.scheme}://{request.headers.get('host', '')}"
    if origin is not None and origin != own:
        raise Forged("This request came from another origin.")


def origin_of(url: str) -> str:
    """Scheme, host and port of an address, as a browser writes them."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"


def own_path(target: str) -> str:
    """Only paths of our own: a sign-in must not lead elsewhere (`//host` and `/\\host` are other hosts)."""
    safe = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if safe else "/"


def is_api(request: Request) -> bool:
    """Whether a program asks."""
    return request.url.path.startswith("/api/")
