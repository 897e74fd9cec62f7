"""The relay carries what Postgres knows to the workflows that must hear of it; anything may be carried twice."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.postgres.approvals import PostgresApprovals
from connectors.postgres.pool import Connection
from connectors.postgres.relay import RelayStore
from workers.temporal import Messenger, Starter
from workflows.domain.errors import Unavailable
from workflows.domain.needs import ClockMode
from workflows.domain.ports import VerdictChannel

log = logging.getLogger(__name__)

ROUND_SECONDS = 0.25
BATCH_SECONDS = 0.2
"""Between two gatherings of needs: what comes in the meantime is assessed together, at a fraction of the cost."""
STARTS = 16
"""Workflows that are started at the same time."""
LEFT_BEHIND_SECONDS = 30.0
"""Older than this, what a living process would have done itself was left by a dead one."""
UNHEARD_SECONDS = 2.0
LIVE_CLOCK_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 15.0
LOST_LOOK_SECONDS = 30.0
"""Between two looks for workflows that Temporal has lost (terminated, failed, or gone with its database)."""
UNSEEN_SECONDS = 300.0
"""After this, what is not over is looked for again: most of it hears nothing for days, and nobody would miss it."""
LOOKS = 25
"""Workflows that one round looks for, at the same time: with a hundred thousand proposals waiting, looking for lost
ones takes minutes, and what else is owed waits milliseconds for it."""
PEOPLE_SECONDS = 1.0
"""Between two looks for what people wait for: they count in seconds."""


class Relay:
    """One loop over everything that is owed. Several may run: each step is idempotent.

    `connect` gives a fresh connection and the store on it: a connection does not outlive a restart of the database.
    """

    def __init__(
        self,
        connect: Callable[[], tuple[Connection, RelayStore]],
        approvals: PostgresApprovals,
        starter: Starter,
        messenger: Messenger,
        verdicts: VerdictChannel,
        *,
        clock: ClockMode,
        lateness: timedelta,
        has_model: Callable[[], Awaitable[bool]],
    ) -> None:
        self._connect = connect
        self._store: RelayStore
        self._approvals = approvals
        self._starter = starter
        self._messenger = messenger
        self._verdicts = verdicts
        self._clock = clock
        self._lateness = lateness
        self._has_model = has_model
        self._clocks_moved = datetime.min.replace(tzinfo=UTC)
        self._looked = datetime.min.replace(tzinfo=UTC)
        self._batched = datetime.min.replace(tzinfo=UTC)
        self._served = datetime.min.replace(tzinfo=UTC)

    async def run(self, stop: asyncio.Event) -> None:
        """Go round until told to stop. An outage of Postgres or Temporal makes it wait, never end."""
        outages = 0
        while not stop.is_set():
            try:
                connection, self._store = await asyncio.to_thread(self._connect)
                with closing(connection):
                    while not stop.is_set():
                        carried = await self._round()
                        outages = 0
                        await _rest(stop, 0.01 if carried else ROUND_SECONDS)
            except Unavailable as outage:
                outages += 1
                pause = min(LONGEST_PAUSE_SECONDS, 0.5 * 2**outages)
                log.warning("the relay waits %.0f s: %s", pause, outage)
                await _rest(stop, pause)

    async def _round(self) -> int:
        """Everything once; how much was carried."""
        carried = 0
        for step in (
            self._move_live_clocks,
            self._look_for_lost,
            self._start_batches,
            self._start_replenishments,
            self._start_orders,
            self._tell_verdicts,
            self._tick,
            self._ask_rescores,
            self._serve_people,
            self._tell_settled_orders,
            self._wake_orders,
        ):
            carried += await step()
        return carried

    async def _move_live_clocks(self) -> int:
        now = datetime.now(UTC)
        if self._clock is not ClockMode.LIVE or now - self._clocks_moved < timedelta(seconds=LIVE_CLOCK_SECONDS):
            return 0
        self._clocks_moved = now
        return await asyncio.to_thread(self._store.advance_live_clocks, now, self._lateness)

    async def _look_for_lost(self) -> int:
        """Postgres says what is not over; whatever of it runs nowhere is started again."""
        now = datetime.now(UTC)
        if now - self._looked < timedelta(seconds=LOST_LOOK_SECONDS):
            return 0
        unseen = await asyncio.to_thread(self._store.unseen, UNSEEN_SECONDS, LOOKS)
        running = await asyncio.gather(*(self._messenger.runs(*one) for one in unseen))
        for (subject, subject_id), runs in zip(unseen, running, strict=True):
            if runs:
                seen = self._store.orders_started if subject == "order" else self._store.replenishments_started
                await asyncio.to_thread(seen, [subject_id])
            else:
                await self._lost(subject, subject_id)
        if len(unseen) < LOOKS:
            self._looked = now
        return 0

    async def _lost(self, subject: str, subject_id: str) -> bool:
        """Have it started again. False when it is over, and nothing is owed."""
        lost = await asyncio.to_thread(self._store.lost, subject, subject_id)
        if lost:
            log.warning("the workflow of %s %s is not there; it is started again", subject, subject_id)
        return lost

    async def _start_batches(self) -> int:
        now = datetime.now(UTC)
        if now - self._batched < timedelta(seconds=BATCH_SECONDS) or not await self._has_model():
            return 0  # needs wait in Postgres until there is somebody to assess them
        self._batched = now
        batches = await asyncio.to_thread(self._store.batches, LEFT_BEHIND_SECONDS * 10)
        starts = {batch.batch_id: self._starter.assessment(batch) for batch in batches}
        return await _carried(starts, self._store.batches_started)

    async def _start_replenishments(self) -> int:
        """What an assessment that died left; a living one starts its proposals itself."""
        found = await asyncio.to_thread(self._store.replenishments, LEFT_BEHIND_SECONDS)
        starts = {ref.decision_id: self._starter.replenishment(ref, trace, again=True) for ref, trace in found}
        return await _carried(starts, self._store.replenishments_started)

    async def _start_orders(self) -> int:
        found = await asyncio.to_thread(self._store.orders)
        starts = {ref.order_id: self._starter.purchasing(ref, trace, again=True) for ref, trace in found}
        return await _carried(starts, self._store.orders_started)

    async def _tell_verdicts(self) -> int:
        found = await self._approvals.unheard(UNHEARD_SECONDS)
        told = 0
        for decision_id, notice in found:
            if await self._verdicts.tell(decision_id, notice):
                await self._approvals.heard(notice.approval_id)
                told += 1
            elif not await self._messenger.runs("replenishment", decision_id) and not await self._lost(
                "replenishment", decision_id
            ):
                await self._approvals.heard(notice.approval_id)  # it came to its end: nobody is left to tell
        return told

    async def _tick(self) -> int:
        due = await asyncio.to_thread(self._store.due_ticks)
        for subject, subject_id, instant, watermark in due:
            # Nobody to tell: it is over, or it is yet to be started (again), and is told then.
            if await self._messenger.tick(subject, subject_id, watermark) or not await self._lost(subject, subject_id):
                await asyncio.to_thread(self._store.ticked, subject, subject_id, instant)
        return 0

    async def _ask_rescores(self) -> int:
        if await asyncio.to_thread(self._store.moved_tasks):
            self._served = datetime.min.replace(tzinfo=UTC)  # they are told in this round, with what people want
        return 0

    async def _serve_people(self) -> int:
        """Snoozed tasks wake, and what somebody wants scored again is."""
        now = datetime.now(UTC)
        if now - self._served < timedelta(seconds=PEOPLE_SECONDS):
            return 0
        self._served = now
        await asyncio.to_thread(self._store.wake_tasks)
        for decision_id in await asyncio.to_thread(self._store.rescores_wanted):
            if await self._messenger.world_moved(decision_id):
                await asyncio.to_thread(self._store.rescore_told, decision_id)
        return 0

    async def _tell_settled_orders(self) -> int:
        for order_id in await asyncio.to_thread(self._store.settled_orders):
            # Nobody to tell is as good: a workflow that starts from now on reads the order's end from Postgres.
            await self._messenger.order_settled(order_id)
            await asyncio.to_thread(self._store.order_told, order_id)
        return 0

    async def _wake_orders(self) -> int:
        """Orders that a lifted switch held, and those that an operator wants tried again."""
        for order in await asyncio.to_thread(self._store.orders_to_wake):
            # Nobody to tell: it is over, or it is started again, and a new workflow tries by itself.
            if not await self._messenger.try_order_again(order.order_id):
                await self._lost("order", order.order_id)
            await asyncio.to_thread(self._store.order_woken, order)
        return 0


async def _carried(starts: Mapping[str, Coroutine[Any, Any, None]], note: Callable[[list[str]], None]) -> int:
    """Start them, some at a time, and note those that were; how many.

    Raises:
        Unavailable: at least one could not be started; the others are noted.
    """
    turns = asyncio.Semaphore(STARTS)

    async def started(start: Coroutine[Any, Any, None]) -> None:
        async with turns:
            await start

    answers = await asyncio.gather(*map(started, starts.values()), return_exceptions=True)
    if carried := [name for name, answer in zip(starts, answers, strict=True) if answer is None]:
        await asyncio.to_thread(note, carried)
    for answer in answers:
        if answer is not None:
            raise answer
    return len(carried)


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
