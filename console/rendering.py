"""Templates become pages here: everything is escaped, and nothing on a page comes from another origin."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from console import formats, navigation, words
from console.auth import Session

HERE = Path(__file__).parent


def link(path: str, *parts: str, **query: object) -> str:
    """A path of ours with ids in it; ids hold colons, which stay readable."""
    url = "/".join([path, *(quote(part, safe=":") for part in parts)])
    asked = {key: value for key, value in query.items() if value is not None}
    return f"{url}?{urlencode(asked, safe=':')}" if asked else url


class Pages:
    """Renders the templates with what every page knows."""

    def __init__(self, *, currency: str, temporal_ui: str | None, passive: bool) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
            auto_reload=False, cache_size=-1,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._environment.filters.update(
            money=formats.money, number=formats.number, signed=formats.signed, percent=formats.percent,
            instant=formats.instant, day=formats.day, short=formats.short,
            initials=formats.initials,
        )  # fmt: skip
        self._environment.globals.update(
            currency=currency, temporal_ui=temporal_ui, passive=passive, link=link, waiting=formats.waiting,
            moment=formats.moment, words=words,
            places_for=navigation.places_for, menus_for=navigation.menus_for, is_here=navigation.is_here,
        )  # fmt: skip

    def show(
        self,
        request: Request,
        template: str,
        session: Session | None,
        context: Mapping[str, object],
        status: HTTPStatus = HTTPStatus.OK,
    ) -> HTMLResponse:
        """A page. It is about one moment and one person, so nobody keeps a copy."""
        html = self._environment.get_template(template).render(path=request.url.path, session=session, **context)
        return HTMLResponse(html, status, {"Cache-Control": "no-store"})

    def error(self, request: Request, status: HTTPStatus, title: str, detail: str) -> HTMLResponse:
        """A page that says what went wrong and where to go from here."""
        context = {"title": title, "detail": detail, "status": status.value}
        return self.show(request, "error.html", None, context, status)
