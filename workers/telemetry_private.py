"""Keeps what people type out of traces: a search names people, and a sign-in link opens a session."""

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

QUERY = "url.query"
NOT_KEPT = "(not kept)"


class NoQueries(SpanProcessor):
    """Takes the query of an address out of each span before anything exports it; the route says which page it was."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """See base class."""
        if QUERY in (span.attributes or {}):
            span.set_attribute(QUERY, NOT_KEPT)

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing is left to do."""
