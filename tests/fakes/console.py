"""The console over the shop in memory: what a unit test and a browser test both drive."""

from collections.abc import Mapping
from datetime import datetime

from fastapi import FastAPI

from console.app import create_app
from console.ports import ConsolePorts
from tests.fakes.desk import MemoryApprovals, MemoryDesk, MemoryModels, MemoryShop, MemoryVerdictChannel
from tests.fakes.shop import model_versions, stocked_shop

KEY = b"a key of thirty-two bytes or more"


class ConsoleOverFakes:
    """The app and what is behind it, so that a test can look at both sides."""

    def __init__(self, shop: MemoryShop | None = None, *, passive: bool = False) -> None:
        self.shop = shop or stocked_shop()
        self.approvals = MemoryApprovals(self.shop)
        self.channel = MemoryVerdictChannel()
        self.models = MemoryModels(model_versions())
        self.app: FastAPI = create_app(
            ConsolePorts(
                desk=MemoryDesk(self.shop), approvals=self.approvals, verdicts=self.channel, models=self.models,
                key=KEY, clocks=self._clocks, passive=passive,
            )
        )  # fmt: skip

    async def _clocks(self) -> Mapping[str, datetime]:
        return {"LEEDS": self.shop.clock, "LONDON-WEST": self.shop.clock, "YORK": self.shop.clock}
