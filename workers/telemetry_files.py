"""Without a collector, spans and metrics stay readable: JSON lines in files of bounded size, off the hot path."""

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

MAX_FILE_BYTES = 32 * 1024 * 1024
"""A file that would grow beyond this becomes `<name>.1`, replacing the one before: twice this is kept per file."""

log = logging.getLogger(__name__)


class BoundedFile:
    """Appends lines to a file that is turned over at its bound; what cannot be written is dropped and said once.

    Several processes may append to one file. Two that turn it over in the same moment may lose one old generation.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_FILE_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._failed = False

    def append(self, lines: Sequence[str]) -> bool:
        """Write the lines; False when they could not be written."""
        body = "".join(line + "\n" for line in lines).encode()
        try:
            with self._lock:
                self._write(body)
        except OSError as error:
            if not self._failed:
                log.warning("Telemetry is not written to %s: %s", self._path, error)
            self._failed = True
            return False
        self._failed = False
        return True

    def _write(self, body: bytes) -> None:
        # Spans tell what is decided and ordered: as a folder of ours, it is ours alone.
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Opened anew each time (every few seconds), so that a file turned over by another process is let go.
        with self._path.open("ab") as file:
            if file.tell() == 0 or file.tell() + len(body) <= self._max_bytes:
                file.write(body)
                return
        self._path.replace(self._path.with_name(self._path.name + ".1"))
        with self._path.open("ab") as file:
            file.write(body)


class SpanFile(SpanExporter):
    """One line per ended span."""

    def __init__(self, file: BoundedFile, service: str) -> None:
        self._file = file
        self._service = service

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See base class."""
        lines = [json.dumps(_span(span, self._service), default=str) for span in spans]
        return SpanExportResult.SUCCESS if self._file.append(lines) else SpanExportResult.FAILURE


class MetricFile(MetricExporter):
    """One line per data point of each metric."""

    def __init__(self, file: BoundedFile, service: str) -> None:
        super().__init__()
        self._file = file
        self._service = service

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """See base class."""
        lines = [json.dumps(point, default=str) for point in _points(metrics_data, self._service)]
        return MetricExportResult.SUCCESS if self._file.append(lines) else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is held back."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Nothing is held open."""


def _span(span: ReadableSpan, service: str) -> dict[str, Any]:
    context = span.get_span_context()
    started, ended = span.start_time or 0, span.end_time or 0
    line: dict[str, Any] = {
        "time": _instant(started),
        "service": service,
        "name": span.name,
        "trace_id": trace.format_trace_id(context.trace_id) if context else None,
        "span_id": trace.format_span_id(context.span_id) if context else None,
        "parent_id": trace.format_span_id(span.parent.span_id) if span.parent else None,
        "duration_ms": round((ended - started) / 1e6, 3),
        "status": span.status.status_code.name,
        "attributes": dict(span.attributes or {}),
    }
    if span.status.description:
        line["error"] = span.status.description
    if span.links:
        line["links"] = [trace.format_trace_id(link.context.trace_id) for link in span.links]
    return line


def _points(data: MetricsData, service: str) -> Iterator[dict[str, Any]]:
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    yield {
                        "time": _instant(point.time_unix_nano),
                        "service": service,
                        "name": metric.name,
                        "unit": metric.unit,
                        "attributes": dict(point.attributes or {}),
                        **_value(point),
                    }


def _value(point: Any) -> dict[str, Any]:
    if isinstance(point, NumberDataPoint):
        return {"value": point.value}
    if isinstance(point, HistogramDataPoint):
        return {
            "count": point.count,
            "sum": point.sum,
            "min": point.min,
            "max": point.max,
            "bounds": list(point.explicit_bounds),
            "buckets": list(point.bucket_counts),
        }
    return {"value": str(point)}


def _instant(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
