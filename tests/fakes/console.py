"""The console over the shop in memory: what a unit test and a browser test both drive."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from fastapi import FastAPI

from connectors.signing import SEED_BYTES, Ed25519Signer
from console.app import create_app
from console.ports import ConsolePorts, SignIn
from console.rate_limits import Rates
from tests.fakes.audit import some_ledger
from tests.fakes.desk import Case, MemoryApprovals, MemoryDesk, MemoryModels, MemoryShop, MemoryVerdictChannel
from tests.fakes.figures import MemoryDemand, MemoryFigures, MemoryForecasts, MemorySales, MemoryStock
from tests.fakes.inbox import MemoryInbox
from tests.fakes.judging import MemoryJudging
from tests.fakes.model_history import MemoryModelHistory
from tests.fakes.monitoring import MemoryMonitoring
from tests.fakes.operations import MemoryArrivals, MemoryHealth, MemoryOperations, MemoryStops
from tests.fakes.past_decisions import MemoryPastDecisions
from tests.fakes.people import MemoryPeople
from tests.fakes.policies import MemoryPolicies
from tests.fakes.record import MemoryCopies, MemoryRecord, MemoryReplays, MemoryReviews
from tests.fakes.sending import MemoryCaps, MemoryCircuits, MemoryOrderWords, MemoryReconciliationDesk
from tests.fakes.sessions import MemorySessions, MemoryTokens
from tests.fakes.shop import model_versions, stocked_shop
from tests.fakes.task_work import MemoryTaskWork
from workflows.domain.approvals import TaskState
from workflows.domain.deliveries import Deliveries
from workflows.domain.money import Money
from workflows.domain.planning import Planning
from workflows.domain.policy_trials import Recorded
from workflows.domain.sessions import Lasts
from workflows.domain.what_if import WhatIf

KEY = b"a key of thirty-two bytes or more"
LASTS = Lasts(idle=timedelta(minutes=15), longest=timedelta(hours=8))
UNLIMITED = Rates(look="1000000/minute", change="1000000/minute", heavy="1000000/minute", sign_in="1000000/minute")
"""Tests ask faster than people; those about the limits bring their own."""


class ConsoleOverFakes:
    """The app and what is behind it, so that a test can look at both sides. `more` are ports by their field's name."""

    def __init__(
        self, shop: MemoryShop | None = None, *, passive: bool = False, planning: Planning | None = None,
        deliveries: Deliveries | None = None, money: Money | None = None, what_if: WhatIf | None = None, **more: Any,
    ) -> None:  # fmt: skip
        self.shop = shop or stocked_shop()
        self.people = MemoryPeople()
        self.approvals = MemoryApprovals(self.shop, self.people)
        self.channel = MemoryVerdictChannel()
        self.models = MemoryModels(model_versions())
        self.inbox = MemoryInbox(self.shop)
        self.audit = some_ledger()
        self.record, self.reviews = MemoryRecord(self.audit), MemoryReviews(self.audit)
        self.replays, self.copies = MemoryReplays(self.shop), MemoryCopies(self.audit)
        self.monitoring = MemoryMonitoring()
        self.figures = MemoryFigures(self.shop, planning, money)
        self.stops = MemoryStops(self.shop)
        self.operations = MemoryOperations(self.shop, self.stops)
        self.order_words = MemoryOrderWords(self.shop, self.operations)
        self.reconciliations = MemoryReconciliationDesk(self.shop)
        self.circuits, self.caps = MemoryCircuits(self.shop), MemoryCaps()
        self.arrivals = MemoryArrivals(self.shop)
        self.health = MemoryHealth(self.shop, self.stops)
        self.policies = MemoryPolicies([self._recorded(case) for case in self.shop.cases.values()])
        self.work = MemoryTaskWork(self.shop, self.inbox, self.people.find)
        self.sessions = MemorySessions(self.people)
        self.tokens = MemoryTokens(self.people, self.sessions.clock)
        self.sign_in = SignIn(self.people, self.sessions, self.tokens, LASTS, local=True, erasing=self.people)
        ports = ConsolePorts(
            desk=MemoryDesk(self.shop), approvals=self.approvals, verdicts=self.channel, models=self.models,
            policies=self.policies, sign_in=self.sign_in, key=KEY, rates=UNLIMITED,
            clocks=self._clocks, passive=passive, planning=planning,
            past=MemoryPastDecisions(self.shop),
            drift=self.monitoring.view, deliveries=deliveries, money=money, what_if=what_if, inbox=self.inbox,
            figures=self.figures, stock=MemoryStock(), demand=MemoryDemand(), sales=MemorySales(),
            forecasts=MemoryForecasts(), work=self.work, judging=MemoryJudging(self.shop, self.people),
            audit=self.audit, model_history=MemoryModelHistory(),
            signer=Ed25519Signer(bytes(SEED_BYTES)), operations=self.operations, stops=self.stops,
            health=self.health, arrivals=self.arrivals, record=self.record, replays=self.replays, copies=self.copies,
            reviews=self.reviews, order_words=self.order_words, reconciliations=self.reconciliations,
            circuits=self.circuits, caps=self.caps,
        )  # fmt: skip
        self.app: FastAPI = create_app(replace(ports, **more))

    def _recorded(self, case: Case) -> Recorded:
        waiting = (case.task or {}).get("state") == TaskState.OPEN
        return Recorded(decision=case.decided.decision, inputs=case.decided.inputs, waiting=waiting)

    async def _clocks(self) -> Mapping[str, datetime]:
        return {"LEEDS": self.shop.clock, "LONDON-WEST": self.shop.clock, "YORK": self.shop.clock}
