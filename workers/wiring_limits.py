"""Picks who says whether a request may leave, and who compares our orders with the suppliers' lists."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from activities.reconciliation import ReconciliationActivities
from connectors.erp.http_supplier import HttpSuppliers
from connectors.postgres.breakers import PostgresPermits
from connectors.postgres.pool import Database
from connectors.postgres.reconciliation import PostgresReconciliations
from workers.connector import suppliers_of
from workers.wiring import Engine


def reconciliations_of(database: Database, suppliers: HttpSuppliers) -> ReconciliationActivities:
    """The comparing, over the suppliers' own connections; its pages are asked for like any other question."""
    permits = PostgresPermits(database, suppliers.manifest)
    return ReconciliationActivities(PostgresReconciliations(database), suppliers.lists, permits)


@asynccontextmanager
async def reconciling(parts: Engine) -> AsyncIterator[ReconciliationActivities]:
    """The same for a command, with connections of its own.

    Raises:
        InvalidInput: no supplier's address is configured.
    """
    suppliers = suppliers_of(parts.settings)
    try:
        yield reconciliations_of(parts.database, suppliers)
    finally:
        await suppliers.aclose()
