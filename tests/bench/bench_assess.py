"""How many SKU-locations a second a sweep assesses, from load to ledger: a chain of any size, on all cores.

Each SKU-location has a year of daily demand. The sweep of the morning opens a need for every one of them; needs are
gathered into batches, and as many processes as there are cores assess them with the engine's own activity: load, score
(forecast, projection), explain (what a person must look at), decide, record (decisions, evidence and ledger, in one
durable transaction per batch). Beside it, in the same processes right afterwards, the bare trees: the champion's
`inplace_predict` on the features of the same rows. `--large` is a million SKU-locations, `--keys` any number.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from activities.learning.learner import XgboostLearner
from activities.models import FIRST_MODEL
from connectors.model_store import DirectoryModelStore
from connectors.postgres.catalog import adopt_policy
from connectors.postgres.models import PostgresModels
from connectors.postgres.needs import advance_clock, make_batches
from connectors.postgres.pool import Connection, Database, connect, transaction
from tests.bench import assess_world as world
from tests.bench.assess_processes import Share, assess_all
from tests.bench.measuring import machine, progress, publish, temporary_database
from workflows.domain.identity import digest
from workflows.domain.models import ModelStatus, TrainingSet
from workflows.domain.needs import NeedBatch
from workflows.domain.policies import Policy

KEYS, QUICK_KEYS, LARGE_KEYS = 40_000, 300, 1_000_000
TAUGHT = 600
"""SKU-locations that the champion learns from."""
STEPS = ("load", "score", "explain", "record")


async def crown(state: Path, dsn: str, *, quick: bool) -> None:
    """Train a model on what is there and promote it."""
    async with Database(dsn, name="bench", size=2) as database:
        models, store = PostgresModels(database), DirectoryModelStore(state / "models")
        known_at, last_day = datetime.now(UTC), world.FIRST_DAY - timedelta(days=1)
        series = await models.training_series(known_at, last_day)
        learner = XgboostLearner(nthread=1, rows=3_000, rounds=20) if quick else XgboostLearner(nthread=1)
        model = learner.train(series, last_day=last_day, seed=1, progress=lambda *_: None)
        key = store.put(model)
        data = TrainingSet(sha256=digest(key), series=len(series), last_day=last_day, known_at=known_at)
        await models.register(learner.describe(model), data)
        await models.judge(key, ModelStatus.CANDIDATE, None, FIRST_MODEL)
        await models.promote(key, "bench")


def swept(connection: Connection) -> int:
    """Close the day at every location, as intake does: needs that were opened."""
    morning = datetime.combine(world.FIRST_DAY, datetime.min.time(), UTC) + timedelta(hours=5)
    opened = 0
    for place in connection.execute("SELECT location FROM location ORDER BY location").fetchall():
        with transaction(connection) as cursor:
            opened += len(advance_clock(cursor, place["location"], morning))
    return opened


def gathered(connection: Connection) -> list[NeedBatch]:
    """All needs in batches."""
    batches: list[NeedBatch] = []
    while True:
        with transaction(connection) as cursor:
            found = make_batches(cursor)
        if not found:
            return batches
        batches += found


def measure(state: Path, dsn: str, keys: int, processes: int, *, quick: bool) -> dict[str, Any]:
    """The whole of it."""
    took: dict[str, float] = {}

    def timed(step: str, begun: float) -> None:
        took[step] = round(time.perf_counter() - begun, 2)
        progress(f"assess: {step} took {took[step]} s")

    with connect(dsn, name="bench") as connection:
        world.prepare(connection, keys)
        adopt_policy(connection, Policy(), actor="bench")
        world.fill(connection, 0, min(keys, TAUGHT))
        begun = time.perf_counter()
        asyncio.run(crown(state, dsn, quick=quick))
        timed("train_s", begun)
        begun = time.perf_counter()
        world.fill(connection, min(keys, TAUGHT), keys)
        connection.execute("VACUUM ANALYZE")
        timed("generate_s", begun)
        days = connection.execute("SELECT count(*) AS days FROM recorded_demand").fetchone()
        begun = time.perf_counter()
        opened = swept(connection)
        timed("sweep_s", begun)
        begun = time.perf_counter()
        batches = gathered(connection)
        timed("gather_s", begun)
        connection.execute("ANALYZE need")
        shares = assess_all(dsn, state / "models", batches, processes, progress)
        found = connection.execute(
            """SELECT (SELECT count(*) FROM decision) AS decisions, (SELECT count(*) FROM evidence) AS inputs,
                      (SELECT count(*) FROM ledger_entry WHERE type = 'holds.recorded') AS batches_in_ledger"""
        ).fetchone()
    return {
        "keys": keys, "days_of_demand": days["days"] if days else 0, "needs": opened, "batches": len(batches),
        "processes": processes, **figures(shares, opened), "decisions": found["decisions"] if found else 0,
        "batches_in_ledger": found["batches_in_ledger"] if found else 0, "before": took,
    }  # fmt: skip


def figures(shares: Sequence[Share], opened: int) -> dict[str, Any]:
    """What the processes did, together.

    Raises:
        RuntimeError: not every need was decided, and the figures would mean nothing.
    """
    holds, proposals = sum(one.holds for one in shares), sum(one.proposals for one in shares)
    decided = holds + proposals
    if decided != opened:
        raise RuntimeError(f"{opened} needs came to {holds} holds and {proposals} proposals")
    wall = max(one.ended for one in shares) - min(one.begun for one in shares)
    ceiling = sum(one.predicted / one.predict_s for one in shares if one.predict_s)
    per_series = {
        step: round(1_000 * sum(one.steps.get(step, 0.0) for one in shares) / decided, 3) for step in STEPS
    }  # fmt: skip
    busy = sum(one.ended - one.begun for one in shares)
    return {
        "holds": holds, "proposals": proposals, "assess_s": round(wall, 1), "series_per_s": round(decided / wall, 1),
        "predict_ceiling_per_s": round(ceiling, 1), "predict_rows": sum(one.vectors for one in shares),
        "ratio": round(decided / wall / ceiling, 3) if ceiling else None,
        # Milliseconds of a process for each series; processes work side by side.
        "ms_per_series": {**per_series, "decide": round(1_000 * busy / decided - sum(per_series.values()), 3)},
        "cpu_ms_per_series": round(1_000 * sum(one.cpu_s for one in shares) / decided, 3),
        "peak_mib": round(sum(one.peak_mib for one in shares), 1),
        "peak_mib_at_a_quarter": round(sum(one.early_mib for one in shares), 1),
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__ or "")
    parser.add_argument("--json", action="store_true", help="one object on one line on stdout")
    parser.add_argument("--quick", action="store_true", help="the smallest size, once: shows that it runs, no more")
    parser.add_argument("--large", action="store_true", help="a million SKU-locations: half an hour, some gigabytes")
    parser.add_argument("--keys", type=int, help="so many SKU-locations")
    parser.add_argument("--processes", type=int, help="as many as cores by default")
    told, begun, before = parser.parse_args(), time.monotonic(), machine()
    keys = told.keys or (QUICK_KEYS if told.quick else LARGE_KEYS if told.large else KEYS)
    processes = told.processes or max(1, before["cores"] or 1)
    with temporary_database() as (state, dsn):
        found = measure(state, dsn, keys, processes, quick=told.quick)
    publish(told, "assess", before, begun, found)


if __name__ == "__main__":
    main()
