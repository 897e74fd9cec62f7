"""Every log line says which decision, order or batch it is about, and never breaks what it reports on."""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

from opentelemetry import trace

LogFormat = Literal["auto", "json", "text"]

BUSINESS_IDS = ("decision_id", "order_id", "batch_id")
"""The ids a line can carry; a need's id is its decision's id."""

MAX_MESSAGE = 8_000
"""Characters of a message or traceback that are kept: one bad line must not fill the disk."""

_NOISY = ("httpx", "httpcore", "prophet", "cmdstanpy", "urllib3")
"""Libraries that report each request or fit at INFO."""

_bound: ContextVar[Mapping[str, str]] = ContextVar("quartermaster_log_context", default={})  # noqa: B039  (never mutated)


@contextmanager
def about(**ids: str | None) -> Iterator[None]:
    """Within the block (and the tasks it starts), every log line carries these ids; None binds nothing.

    Use `decision_id`, `order_id` and `batch_id`.
    """
    token = _bound.set({**_bound.get(), **{name: value for name, value in ids.items() if value}})
    try:
        yield
    finally:
        _bound.reset(token)


def bound_ids() -> Mapping[str, str]:
    """The ids that a line written here would carry."""
    return _bound.get()


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, service, business ids and trace id."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON; text that JSON cannot carry is escaped, never refused."""
        line: dict[str, object] = {
            "time": _instant(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            "service": self._service,
            **bound_ids(),
        }
        if workflow_id := _workflow_id(record):
            line["workflow_id"] = workflow_id
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = trace.format_trace_id(span.trace_id)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)[-MAX_MESSAGE:]
        return json.dumps(line, default=str)


class HumanLines(logging.Formatter):
    """Short lines for a person at a terminal; ids at the end."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, followed by its traceback if it has one."""
        ids = " ".join(f"{name.removesuffix('_id')}={value}" for name, value in bound_ids().items())
        line = f"{_instant(record).astimezone():%H:%M:%S} {record.levelname:<7} {_one_line(_message(record))}"
        line = f"{line}  [{ids}]" if ids else line
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)[-MAX_MESSAGE:]
        return line


def configure_logging(service: str, level: str = "INFO", format: LogFormat = "auto") -> None:
    """Send this process's log lines to stderr; stdout belongs to results. Calling it again replaces what was set.

    Args:
        service: the process's name: `intake`, `worker`, `console`...
        level: DEBUG, INFO, WARNING or ERROR.
        format: `auto` is text when stderr is a terminal and JSON lines elsewhere.
    """
    human = format == "text" or (format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(HumanLines() if human else JsonLines(service))
    # A full disk or a closed pipe behind stderr must not stop a purchase order.
    logging.raiseExceptions = False
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))


def _instant(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _message(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except (TypeError, ValueError) as problem:
        text = f"{record.msg} (arguments do not fit: {problem})"
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + "..."


def _one_line(text: str) -> str:
    """What a stranger wrote begins no line of its own here, and gives a terminal no orders."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _workflow_id(record: logging.LogRecord) -> str | None:
    """The workflow that the SDK's loggers note on the lines of workflows and activities."""
    for name in ("temporal_workflow", "temporal_activity"):
        noted = getattr(record, name, None)
        if isinstance(noted, Mapping) and noted.get("workflow_id"):
            return str(noted["workflow_id"])
    return None
