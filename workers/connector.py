"""Opens the connector to the suppliers, as it declares itself and whoever operates the engine knows better."""

import json
from pathlib import Path

from pydantic import ValidationError

from connectors.erp.http_supplier import MANIFEST, HttpSuppliers
from workers.settings import Settings
from workers.telemetry import traceparent_of_current
from workers.wiring import required
from workflows.domain.capabilities import Manifest
from workflows.domain.errors import InvalidInput, explained
from workflows.options import EXTERNAL_WRITE, SUPPLIER_LEASE_SECONDS

LONGEST_FILE_BYTES = 64 * 1024
LONGEST_TIMEOUT_S = 19.0
"""Half of what an attempt has (`activities.sending.WORK_SECONDS`): it may look first, and then send."""


def manifest_of(settings: Settings) -> Manifest:
    """The connector's manifest, with the fields that the file of QM_CONNECTOR_FILE names replaced.

    Raises:
        InvalidInput: the file cannot be read, names an unknown field, or says something that cannot be; the message
            names the file and the field.
    """
    manifest = MANIFEST if settings.connector_file is None else _read(settings.connector_file)
    longest = EXTERNAL_WRITE["start_to_close_timeout"]
    # A lost request must be over before its attempt is, and an attempt before its lease is.
    if longest is None or not manifest.http_timeout_s < longest.total_seconds() < SUPPLIER_LEASE_SECONDS:
        raise InvalidInput(f"http_timeout_s: {manifest.http_timeout_s:g} s is longer than an attempt to place an order")
    if manifest.http_timeout_s > LONGEST_TIMEOUT_S:
        raise InvalidInput(
            f"http_timeout_s: {manifest.http_timeout_s:g} s leaves an attempt no time to look for an order and then "
            f"send it; at most {LONGEST_TIMEOUT_S:g}"
        )
    return manifest


def _read(file: Path) -> Manifest:
    try:
        body = file.read_bytes()[: LONGEST_FILE_BYTES + 1]
        told = json.loads(body)
    except OSError as error:
        raise InvalidInput(f"the connector's file {file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the connector's file {file} is no JSON: {error}") from error
    if len(body) > LONGEST_FILE_BYTES or not isinstance(told, dict):
        raise InvalidInput(f"the connector's file {file} is not one short JSON object")
    unknown = sorted(told.keys() - Manifest.model_fields.keys())
    if unknown:
        known = ", ".join(Manifest.model_fields)
        raise InvalidInput(f"the connector's file {file} names {unknown[0]!r}, which is none of {known}")
    try:
        return Manifest.model_validate({**MANIFEST.model_dump(), **told})
    except ValidationError as error:
        raise InvalidInput(f"the connector's file {file}: {explained(error, 'the whole')}") from error


def suppliers_of(settings: Settings) -> HttpSuppliers:
    """The connector to whoever takes purchase orders; each request carries the trace of its order."""
    return HttpSuppliers(required(settings, "supplier_url"), manifest=manifest_of(settings), propagate=_trace_headers)


def _trace_headers() -> dict[str, str]:
    traceparent = traceparent_of_current()
    return {"traceparent": traceparent} if traceparent else {}
