"""Loads the catalog and the recorded past, and reads how far both go."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import evidence, ledger
from connectors.postgres.pool import Connection, transaction
from workflows.domain.catalog import Catalog
from workflows.domain.evidence import EvidenceKind, Kept
from workflows.domain.feeds import RecordedDemand, RecordedReceipt
from workflows.domain.identity import canonical, digest
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.policies import Policy
from workflows.domain.recordable import by_reference

INSTALLATION = "installation"
"""The ledger's stream of what was set up."""
HOLDING_RATE_PER_YEAR = Decimal("0.25")
"""Default yearly cost of keeping a unit, as a share of its cost; kept as a setting in the database."""


def load_catalog(connection: Connection, catalog: Catalog, *, actor: str) -> bool:
    """Insert or update every row of a catalog document: all of it or nothing, and on the record.

    The document that was loaded last changes nothing when it is loaded again, also not what events have changed since
    (a supplier's lead time, say). Returns whether it was another one.
    """
    with transaction(connection, "catalog.load_catalog") as cursor:
        if _loaded_last(cursor) == digest(catalog):
            return False
        for key, value in (("currency", catalog.currency), ("holding_rate_per_year", str(HOLDING_RATE_PER_YEAR))):
            cursor.execute("INSERT INTO setting VALUES (%s, %s) ON CONFLICT DO NOTHING", [key, value])
        cursor.executemany(
            """INSERT INTO item (item, name, category, price, goodwill_per_unit) VALUES (%s, %s, %s, %s, %s)
               ON CONFLICT (item) DO UPDATE SET name = excluded.name, category = excluded.category,
                   price = excluded.price, goodwill_per_unit = excluded.goodwill_per_unit""",
            [(i.item, i.name, i.category, i.price, i.goodwill_per_unit) for i in catalog.items],
        )
        cursor.executemany(
            """INSERT INTO location (location, name, time_zone, country, subdivision) VALUES (%s, %s, %s, %s, %s)
               ON CONFLICT (location) DO UPDATE SET name = excluded.name, time_zone = excluded.time_zone,
                   country = excluded.country, subdivision = excluded.subdivision""",
            [(at.location, at.name, at.time_zone, at.country, at.subdivision) for at in catalog.locations],
        )
        cursor.executemany(
            # A document that blocks or unblocks counts; one that only repeats itself undoes no event's word since.
            """INSERT INTO supplier AS s (supplier, name, blocked, blocked_in_catalog, cost_per_order,
                                          minimum_order_value) VALUES (%s, %s, %s, %s, %s, %s)
               ON CONFLICT (supplier) DO UPDATE SET name = excluded.name, cost_per_order = excluded.cost_per_order,
                   minimum_order_value = excluded.minimum_order_value,
                   blocked_in_catalog = excluded.blocked_in_catalog,
                   blocked = CASE WHEN s.blocked_at IS NULL OR s.blocked_in_catalog <> excluded.blocked_in_catalog
                                  THEN excluded.blocked ELSE s.blocked END""",
            [
                (s.supplier, s.name, s.blocked, s.blocked, s.cost_per_order, s.minimum_order_value)
                for s in catalog.suppliers
            ],
        )
        cursor.executemany(
            """INSERT INTO sourcing (item, location, supplier, rank, unit_cost, pack_units, minimum_order_units,
                                     lead_time_days, review_days) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
               ON CONFLICT (location, item, supplier) DO UPDATE SET rank = excluded.rank,
                   unit_cost = excluded.unit_cost, pack_units = excluded.pack_units,
                   minimum_order_units = excluded.minimum_order_units, lead_time_days = excluded.lead_time_days,
                   review_days = excluded.review_days""",
            [
                (s.item, s.location, s.supplier, s.rank, s.unit_cost, s.pack_units, s.minimum_order_units,
                 s.lead_time_days, s.review_days)
                for s in catalog.sourcing
            ],
        )  # fmt: skip
        body = {
            "digest": digest(catalog), "items": len(catalog.items), "locations": len(catalog.locations),
            "suppliers": len(catalog.suppliers), "sourcing": len(catalog.sourcing),
        }  # fmt: skip
        # The document itself stays under its digest: what the catalog said before is never lost.
        evidence.keep_now(cursor, {digest(catalog): Kept(EvidenceKind.ITEMS, canonical(catalog))})
        _record(cursor, EntryType.CATALOG_CHANGED, actor, body)
    return True


def _loaded_last(cursor: psycopg.Cursor[DictRow]) -> str | None:
    cursor.execute(
        "SELECT body FROM ledger_entry WHERE stream = %s AND type = %s ORDER BY seq DESC LIMIT 1",
        [INSTALLATION, str(EntryType.CATALOG_CHANGED)],
    )
    row = cursor.fetchone()
    return str(json.loads(row["body"])["digest"]) if row else None


def load_history(
    connection: Connection, demand: Iterable[RecordedDemand], receipts: Iterable[RecordedReceipt], *, actor: str
) -> tuple[int, int]:
    """Load the recorded past, on the record; rows that are there already stay, and if all are, nothing happens.

    Returns (demand rows, receipts) given.
    """
    days = list(demand)
    deliveries = list(receipts)
    with transaction(connection, "catalog.load_history") as cursor:
        cursor.execute("CREATE TEMP TABLE loading (LIKE recorded_demand INCLUDING DEFAULTS) ON COMMIT DROP")
        columns = "location, item, day, units, in_stock, promotion, unit_price"
        with cursor.copy(f"COPY loading ({columns}) FROM STDIN") as copy:
            for row in days:
                copy.write_row(
                    (row.location, row.item, row.day, row.units, row.in_stock, row.promotion, row.unit_price)
                )
        cursor.execute("INSERT INTO recorded_demand SELECT * FROM loading ON CONFLICT DO NOTHING")
        new = cursor.rowcount
        cursor.executemany(
            """INSERT INTO observed_lead_time (reference, supplier, location, item, ordered_on, received_on, units)
               VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
            [
                (f"recorded/{r.supplier}/{r.location}/{r.item}/{r.ordered_on}/{r.received_on}", r.supplier, r.location,
                 r.item, r.ordered_on, r.received_on, r.units)
                for r in deliveries
            ],
        )  # fmt: skip
        new += max(0, cursor.rowcount) if deliveries else 0
        if not new:
            return len(days), len(deliveries)
        span = {"first": min(r.day for r in days), "last": max(r.day for r in days)} if days else {}
        _record(
            cursor, EntryType.HISTORY_IMPORTED, actor, {"demand_rows": len(days), "receipts": len(deliveries), **span}
        )
    return len(days), len(deliveries)


def adopt_policy(connection: Connection, policy: Policy, *, actor: str) -> bool:
    """Make this the newest policy unless its version is there already; whether it was new."""
    with transaction(connection, "catalog.adopt_policy") as cursor:
        cursor.execute(
            "INSERT INTO policy_version (digest, version, document) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [policy.digest, policy.version, canonical(policy)],
        )
        if cursor.rowcount != 1:
            return False
        body, kept = by_reference({"digest": policy.digest, "policy": policy.model_dump(mode="json")}, "policy")
        evidence.keep_now(cursor, kept)
        _record(cursor, EntryType.POLICY_ADOPTED, actor, body)
    return True


def _record(cursor: psycopg.Cursor[DictRow], kind: EntryType, actor: str, body: dict[str, object]) -> None:
    entry = NewEntry(stream=INSTALLATION, type=kind, actor=actor, occurred_at=datetime.now(UTC), body=body)
    ledger.append_now(cursor, [entry])
