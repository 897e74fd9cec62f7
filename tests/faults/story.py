"""A story: one SKU at a place of its own, told by events from an empty shelf to a placed order, step by step.

    story = Story(world)                     PLAIN: its order leaves by itself; Story(world, DEAR): a person must agree
    story.empty()                            the shelf was counted, and the morning came
    story.decided()                          ... wait until the engine proposed
    story.approve()                          DEAR only, through REST
    story.released()                         ... wait until the line is on its order
    story.cutoff()                           the order's cutoff has come: it is to be sent now
    story.placed()                           ... wait until the engine has the supplier's number

`play()` does it all. A cell calls the steps and breaks something in between. No step sleeps: each waits for its own
condition with a deadline.
"""

import uuid
from datetime import UTC, datetime, time, timedelta
from typing import Any

import httpx

from console.auth import api_token
from tests.faults.producing import Told, clock, counted, received
from tests.faults.seed import FIRST_DAY, PLAIN
from tests.faults.waiting import until
from tests.faults.world import World
from workers.wiring import console_key

MORNING = datetime.combine(FIRST_DAY, time(5), UTC)
CUTOFF = MORNING + timedelta(hours=1)
STEP_WITHIN_S = 60.0


class Story:
    """One SKU at one place."""

    def __init__(self, world: World, item: str = PLAIN, *, place: str = "", within_s: float = STEP_WITHIN_S) -> None:
        self.world, self.item = world, item
        self.place = place or world.place()
        self.within_s = within_s
        self.told: list[Told] = []

    def tell(self, *events: Told) -> list[str]:
        """Produce events; what the broker said of each."""
        self.told += events
        return self.world.teller.tell(*events)

    def morning(self) -> list[Told]:
        """What `empty` tells."""
        return [counted(self.place, self.item, 0, MORNING - timedelta(hours=9)), clock(self.place, MORNING)]

    def empty(self) -> None:
        """The shelf is empty and the day begins: a need follows."""
        self.tell(*self.morning())

    def needed(self) -> str:
        """The need's id, once there is one."""
        query = "SELECT need_id FROM need WHERE location = %s AND item = %s"
        return str(self._first(query, "a need")["need_id"])

    def decided(self) -> str:
        """The decision's id, once the engine proposed."""
        query = "SELECT decision_id, tier FROM replenishment WHERE location = %s AND item = %s"
        return str(self._first(query, "a proposal")["decision_id"])

    def task(self) -> dict[str, Any]:
        """The task that waits for a person, once it is open."""
        return self._first("SELECT * FROM task WHERE location = %s AND item = %s AND state = 'open'", "an open task")

    def approve(self, person: str = "pat", *, command: str = "") -> tuple[int, Any]:
        """Agree to the proposal through REST, as a page would; HTTP status and answer."""
        task = self.task()
        return self.agree(task["decision_id"], task["proposal_hash"], person, command=command)

    def agree(self, decision: str, proposal: str, person: str, *, command: str = "") -> tuple[int, Any]:
        """The same for a proposal that was seen: it may have changed, or its task been answered."""
        body = {"meaning": "approve", "proposal_hash": proposal}
        status, answer = self.rest("POST", f"/api/v1/tasks/{decision}/verdict", body, person=person, command=command)
        if status == 200 and answer["approval_id"] not in self.world.acknowledged:
            self.world.acknowledged.append(answer["approval_id"])
        return status, answer

    def rest(
        self, method: str, path: str, body: Any = None, *, person: str = "pat", command: str = ""
    ) -> tuple[int, Any]:
        """A call of the REST API; its status and answer, also when it is an error.

        Raises:
            httpx.HTTPError: no answer came.
        """
        settings = self.world.settings
        answer = httpx.request(
            method, f"http://{settings.console_host}:{settings.console_port}{path}", json=body, timeout=30,
            trust_env=False,
            headers={
                "Authorization": f"Bearer {api_token(console_key(settings), person)}",
                "Idempotency-Key": command or uuid.uuid4().hex,
            },
        )  # fmt: skip
        return answer.status_code, answer.json()

    def released(self) -> str:
        """The order's id, once the line is on it."""
        query = "SELECT order_id FROM order_line WHERE location = %s AND item = %s"
        return str(self._first(query, "an order line")["order_id"])

    def cutoff(self) -> None:
        """The order is to leave now."""
        self.tell(clock(self.place, CUTOFF))

    def order(self) -> dict[str, Any]:
        """The order as the engine sees it now."""
        query = """SELECT o.* FROM purchase_order o WHERE o.location = %s AND EXISTS (
                       SELECT 1 FROM order_line l WHERE l.order_id = o.order_id AND l.item = %s)"""
        return self._first(query, "an order")

    def in_state(self, *states: str, within_s: float | None = None) -> dict[str, Any]:
        """The order, once it is in one of these states."""
        return until(
            lambda: found if (found := self.order())["state"] in states else None, within_s or self.within_s,
            f"order of {self.place}/{self.item} {' or '.join(states)}",
        )  # fmt: skip

    def placed(self, within_s: float | None = None) -> dict[str, Any]:
        """The order, once the supplier's number is on it."""
        return self.in_state("placed", "received", "closed", within_s=within_s)

    def deliver(self) -> None:
        """Everything that was ordered arrives."""
        lines = self.world.rows("SELECT * FROM order_line WHERE location = %s AND item = %s", self.place, self.item)
        at = CUTOFF + timedelta(days=3)
        self.tell(*(received(self.place, self.item, line["units"], line["order_id"], at) for line in lines))

    def play(self) -> dict[str, Any]:
        """The whole story; the placed order."""
        self.until_release()
        self.cutoff()
        return self.placed()

    def finish(self) -> dict[str, Any]:
        """From wherever the first events left it to the placed order."""
        self.decided()
        if self.item != PLAIN:
            status, answer = self.approve()
            assert status == 200, answer
        self.released()
        self.cutoff()
        return self.placed()

    def until_release(self) -> str:
        """Up to the moment before the cutoff; the order's id."""
        self.empty()
        self.decided()
        if self.item != PLAIN:
            status, answer = self.approve()
            assert status == 200, answer
        return self.released()

    def _first(self, query: str, what: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            return next(iter(self.world.rows(query, self.place, self.item)), None)

        return until(look, self.within_s, f"{what} for {self.place}/{self.item}")
