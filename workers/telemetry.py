"""Telemetry is written off the hot path and never raises into what it observes."""

import logging
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.metrics import Counter, Histogram, Meter
from opentelemetry.metrics import _Gauge as Gauge
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from workers.logs import configure_logging
from workers.telemetry_files import BoundedFile, MetricFile, SpanFile
from workers.telemetry_private import NoQueries

__all__ = ["Instruments", "Telemetry", "configure_logging", "context_from", "start_telemetry", "traceparent_of_current"]

SCOPE = "quartermaster"
METRIC_INTERVAL_S = 15
EXPORT_TIMEOUT_S = 3
"""How long one export may take; also bounds how long a shutdown waits for a collector that does not answer."""

MINUTE, HOUR, DAY = 60, 3600, 86400
WAIT_BOUNDS = (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 8 * HOUR, DAY, 2 * DAY, 3 * DAY, 7 * DAY)

_W3C = TraceContextTextMapPropagator()
_TRACEPARENT_CHARACTERS = 55

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Instruments:
    """What the engine measures. Attributes stay few and bounded: never an item, a decision or a person."""

    lag: Gauge
    """Messages behind the end of the log. Attributes: `topic`, `partition`."""
    inbox_depth: Gauge
    """Accepted events whose effect is still owed, such as a need without an assessment."""
    events: Counter
    """Events that intake has taken. Attribute: `result`, one of `accepted`, `duplicate`, `dead_lettered`."""
    needs: Counter
    """Needs opened. Attribute: `cause`."""
    decisions: Counter
    """Decisions recorded. Attributes: `kind` (`hold` or `proposal`) and, for proposals, `tier`."""
    wait_for_people: Histogram
    """Seconds on the wall clock from a task's opening to its end. Attribute: `meaning`, the state it ended in."""
    orders: Gauge
    """Purchase orders there are now. Attribute: `state`."""
    scores: Counter
    """Rows scored: its rate is scores per second. Attribute: `model` (`xgboost` or `prophet`)."""
    scoring_duration: Histogram
    """Wall-clock seconds to score one batch. Attribute: `model`."""
    model_age: Gauge
    """Days on the business clock since the last day that the champion was trained on."""
    histories_room: Gauge
    """Seconds until Temporal's retention removes a closed workflow that is not known to be kept."""

    @classmethod
    def of(cls, meter: Meter) -> "Instruments":
        """The instruments of this meter."""
        return cls(
            lag=meter.create_gauge("qm.intake.lag", "{message}", "Messages behind the end of the log"),
            inbox_depth=meter.create_gauge("qm.inbox.depth", "{event}", "Accepted events whose effect is still owed"),
            events=meter.create_counter("qm.events", "{event}", "Events taken, by result"),
            needs=meter.create_counter("qm.needs", "{need}", "Needs opened, by cause"),
            decisions=meter.create_counter("qm.decisions", "{decision}", "Decisions recorded, by kind and tier"),
            wait_for_people=meter.create_histogram(
                "qm.tasks.wait",
                "s",
                "Time from a task's opening to its verdict",
                explicit_bucket_boundaries_advisory=WAIT_BOUNDS,
            ),
            orders=meter.create_gauge("qm.orders", "{order}", "Purchase orders, by state"),
            scores=meter.create_counter("qm.scores", "{row}", "Rows scored, by model"),
            scoring_duration=meter.create_histogram("qm.scoring.duration", "s", "Time to score one batch"),
            model_age=meter.create_gauge("qm.model.age", "d", "Days since the champion's last training day"),
            histories_room=meter.create_gauge("qm.histories.room", "s", "Time until unkept workflows are removed"),
        )


@dataclass(frozen=True)
class Telemetry:
    """A process's tracer, meter and instruments."""

    tracer: Tracer
    meter: Meter
    instruments: Instruments
    tracer_provider: TracerProvider
    meter_provider: MeterProvider

    def flush(self) -> None:
        """Write what is still held back; blocks for as long as an export may take."""
        for flush in (self.tracer_provider.force_flush, self.meter_provider.force_flush):
            try:
                flush(EXPORT_TIMEOUT_S * 1000)
            except Exception as error:  # whatever an exporter does, the caller goes on
                log.debug("Telemetry was not flushed: %s", error)

    def shutdown(self) -> None:
        """Write what is still held back, then stop. Calling it again does nothing."""
        for shutdown in (self.tracer_provider.shutdown, self.meter_provider.shutdown):
            try:
                shutdown()
            except Exception as error:  # a shutdown that fails must not hide why the process ends
                log.debug("Telemetry did not shut down: %s", error)


def start_telemetry(
    service: str, *, otlp_endpoint: str | None, directory: Path | None, install: bool = True
) -> Telemetry:
    """Start this process's telemetry.

    Args:
        service: the process's name: `intake`, `worker`, `console`...
        otlp_endpoint: base URL of an OTLP/HTTP collector; `/v1/traces` and `/v1/metrics` are appended.
        directory: where `<service>.spans.jsonl` and `<service>.metrics.jsonl` go when there is no collector. With
            neither, spans and metrics exist only in memory: ids still travel.
        install: also make it the process-wide default of the OpenTelemetry API, which connectors use. Only the first
            in a process can be; tests pass False.
    """
    resource = Resource.create(
        {
            "service.name": f"quartermaster-{service}",
            "service.namespace": "quartermaster",
            "service.version": _version(),
        }
    )
    spans, points = _exporters(service, otlp_endpoint, directory)
    tracer_provider = TracerProvider(resource=resource)
    tracer_provider.add_span_processor(NoQueries())
    if spans is not None:
        tracer_provider.add_span_processor(BatchSpanProcessor(spans, schedule_delay_millis=2000))
    readers = [] if points is None else [PeriodicExportingMetricReader(points, METRIC_INTERVAL_S * 1000)]
    meter_provider = MeterProvider(readers, resource=resource)
    if install:
        trace.set_tracer_provider(tracer_provider)
        metrics.set_meter_provider(meter_provider)
        propagate.set_global_textmap(_W3C)
    meter = meter_provider.get_meter(SCOPE)
    return Telemetry(
        tracer=tracer_provider.get_tracer(SCOPE),
        meter=meter,
        instruments=Instruments.of(meter),
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
    )


def traceparent_of_current() -> str | None:
    """The current span as a W3C `traceparent`, to be stored beside a row or sent in a header; None outside a span."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get("traceparent")


def context_from(traceparent: str | None) -> Context:
    """The context that a stored or received `traceparent` describes: give it to `start_as_current_span(context=...)`.

    None or anything that is not a `traceparent` gives an empty context, so that the span begins a trace of its own.
    """
    if traceparent is None or len(traceparent) > _TRACEPARENT_CHARACTERS:
        return Context()
    return _W3C.extract({"traceparent": traceparent}, context=Context())


def _exporters(
    service: str, otlp_endpoint: str | None, directory: Path | None
) -> tuple[SpanExporter | None, MetricExporter | None]:
    if otlp_endpoint is not None:
        # Imported only when used: it would cost every other process 0.06 s at its start.
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        base = otlp_endpoint.rstrip("/")
        return (
            OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=EXPORT_TIMEOUT_S),
            OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=EXPORT_TIMEOUT_S),
        )
    if directory is not None:
        return (
            SpanFile(BoundedFile(directory / f"{service}.spans.jsonl"), service),
            MetricFile(BoundedFile(directory / f"{service}.metrics.jsonl"), service),
        )
    return None, None


def _version() -> str:
    try:
        return version("quartermaster")
    except PackageNotFoundError:
        return "unknown"
