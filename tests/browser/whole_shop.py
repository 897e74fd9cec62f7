"""A console that shows everything at once: every port is there, and every page has something to tell."""

from collections.abc import Mapping
from datetime import datetime

from console.policy_desk import PolicyDesk
from tests.fakes.busy_shop import OAT, busy_shop
from tests.fakes.console import ConsoleOverFakes
from tests.fakes.files import MemoryFiles
from tests.fakes.live import MemoryLive
from tests.fakes.notices import MemoryNotices
from tests.fakes.shop import CLOCK
from tests.unit.test_console_deliveries import MemoryDeliveries
from tests.unit.test_console_money import MemoryMoney, MemoryWhatIf
from tests.unit.test_console_planning import MemoryPlanning
from workflows.domain.approvals import Actor
from workflows.domain.people import Person, Role
from workflows.domain.stops import StopCommand, StopScope

EVA = Person(name="Eva", roles=frozenset(Role), email="eva@shop.example")
"""Somebody with every role: she sees every page with everything that can be on it."""


async def all_invented() -> str:
    """A demo says so on every page."""
    return "suppliers, prices and people"


async def clocks() -> Mapping[str, datetime]:
    """Each location's business clock stands at the same instant."""
    return dict.fromkeys(("LEEDS", "LONDON-WEST", "YORK"), CLOCK)


def whole_console(**more: object) -> ConsoleOverFakes:
    """The busy shop with every port, a passive installation with invented figures, and Eva among its people."""
    ports: dict[str, object] = {
        "planning": MemoryPlanning(), "deliveries": MemoryDeliveries(), "money": MemoryMoney(),
        "what_if": MemoryWhatIf(), "files": MemoryFiles(), "notices": MemoryNotices(), "live": MemoryLive(),
        "invented": all_invented, "clocks": clocks,
    }  # fmt: skip
    console = ConsoleOverFakes(busy_shop(), passive=True, **{**ports, **more})  # type: ignore[arg-type]
    console.people.known[EVA.name] = EVA
    return console


async def fill(console: ConsoleOverFakes) -> dict[str, str]:
    """Things that exist only once somebody did them; the values of the paths that lead to them, by parameter."""
    base = (await console.policies.current()).policy
    document = base.model_dump(mode="json") | {"new_item_asks": False}
    change = await PolicyDesk(console.policies).propose(
        document, "new items are asked about too often", Actor(name="Ada")
    )
    await console.stops.stop(
        StopCommand(scope=StopScope.SUPPLIER, subject="northern-foods", reason="their site is down"), Actor(name="Otto")
    )
    await console.operations.ask_redrive(3, "they mended the type", Actor(name="Otto"))
    versions = await console.models.versions()
    return {
        "decision_id": OAT, "digest": versions[0].digest, "change_id": change.change_id, "name": "Grace",
        "order_id": console.shop.orders[1]["order_id"], "location": "LEEDS", "item": "ITEM-050",
        "report_id": "northern-foods:3",
    }  # fmt: skip
