"""Templates become pages here: everything is escaped, and nothing on a page comes from another origin."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from console import formats, limit_words, navigation, words
from console.auth import Session
from console.names import named_page
from console.told import told_of

HERE = Path(__file__).parent
SEALED_HINT = "Colleagues and auditors read it. No personal data, please."
"""Beside every field whose words are kept with the decision."""
STAYS_HINT = "It stays in the record for good. No personal data, please."
"""Beside every field whose words are a record of the control: nobody can remove them."""


def link(path: str, *parts: str, **query: object) -> str:
    """A path of ours with ids in it; ids hold colons, which stay readable."""
    url = "/".join([path, *(quote(part, safe=":") for part in parts)])
    asked = {key: value for key, value in query.items() if value is not None}
    return f"{url}?{urlencode(asked, safe=':')}" if asked else url


@pass_context
def _instant(context: Context, value: datetime | str | None, location: str | None = None) -> Markup:
    """An instant on the clock of a location, or in UTC."""
    zones: Mapping[str, str] = context.get("zones") or {}
    return formats.instant(value, zones.get(location) if location else None)


@pass_context
def _initials(context: Context, name: str) -> str:
    """One or two letters of what somebody is called."""
    names: Mapping[str, str] = context.get("names") or {}
    return formats.initials(names.get(name, name))


class Pages:
    """Renders the templates with what every page knows."""

    def __init__(self, *, currency: str, temporal_ui: str | None, passive: bool) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
            auto_reload=False, cache_size=-1,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._environment.filters.update(
            money=formats.money, small_money=formats.small_money, number=formats.number, signed=formats.signed,
            signed_money=formats.signed_money,
            percent=formats.percent,
            instant=_instant, day=formats.day, short=formats.short,
            initials=_initials,
        )  # fmt: skip
        self._environment.globals.update(
            currency=currency, temporal_ui=temporal_ui, passive=passive, link=link, waiting=formats.waiting,
            moment=formats.moment, words=words, limits_in_words=limit_words,
            sealed_hint=SEALED_HINT, stays_hint=STAYS_HINT,
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
        told = told_of(request)
        given = {**context, "path": request.url.path, "session": session}
        given |= {"invented": told.invented, "zones": told.zones, "names": told.names}
        html = named_page(self._environment.get_template(template).render(given), told.names)
        return HTMLResponse(html, status, {"Cache-Control": "no-store"})

    def error(self, request: Request, status: HTTPStatus, title: str, detail: str) -> HTMLResponse:
        """A page that says what went wrong and where to go from here."""
        known = request.scope.get("quartermaster.known", {}).values()
        session = next((one for one in known if isinstance(one, Session)), None)
        context = {"title": title, "detail": detail, "status": status.value}
        return self.show(request, "error.html", session, context, status)
