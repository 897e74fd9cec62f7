"""What the console is given: it picks no implementation and reads no setting itself."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from console.rate_limits import Rates
from console.told import Zones, no_zones
from workflows.domain.arrivals import Arrivals
from workflows.domain.audit import AuditTrail, Signer
from workflows.domain.auditing import DecisionReplays, RecordCopies, RecordDesk, RecordReviews
from workflows.domain.breaker import CircuitsDesk
from workflows.domain.caps import CapsDesk
from workflows.domain.deliveries import Deliveries
from workflows.domain.desk import Desk
from workflows.domain.doubt import OrderWords
from workflows.domain.erasure import Erasing
from workflows.domain.figures import Figures
from workflows.domain.files import Files
from workflows.domain.forecasts import Forecasts
from workflows.domain.health import HealthDesk
from workflows.domain.inbox import Inbox, TaskWork
from workflows.domain.judging import Judging
from workflows.domain.live import Live
from workflows.domain.model_history import ModelHistory
from workflows.domain.money import Money
from workflows.domain.monitoring import DriftView
from workflows.domain.notices import Preferences
from workflows.domain.operations import Operations
from workflows.domain.past_decisions import PastDecisions
from workflows.domain.people import People
from workflows.domain.planning import Planning
from workflows.domain.policy_changes import Policies
from workflows.domain.ports import Approvals, Models, VerdictChannel
from workflows.domain.reconciling import ReconciliationDesk
from workflows.domain.sales_views import Sales
from workflows.domain.sessions import IdentityProvider, Lasts, Sessions, Tokens
from workflows.domain.stock_views import Demand, Stock
from workflows.domain.stops import Stops
from workflows.domain.what_if import WhatIf

Clocks = Callable[[], Awaitable[Mapping[str, datetime]]]
"""The business clock of each location that has one."""


async def no_clocks() -> Mapping[str, datetime]:
    """Nobody says what time it is at a location: deadlines are shown as instants, without a countdown."""
    return {}


Drift = Callable[[], Awaitable[DriftView]]
"""The newest business day's drift readings and the alarms."""


async def no_drift() -> DriftView:
    """Nobody watches."""
    return DriftView()


Origin = Callable[[], Awaitable[str]]
"""What of the data on show is invented, in words; empty when nothing is."""


async def all_real() -> str:
    """Nothing is invented."""
    return ""


@dataclass(frozen=True)
class SignIn:
    """How people get in, and where it is kept."""

    people: People
    sessions: Sessions
    tokens: Tokens
    lasts: Lasts
    local: bool = False
    """Whoever holds the key can make links and tokens for any known name: right only where they hold everything."""
    provider: IdentityProvider | None = None
    erasing: Erasing | None = None
    """Destroys what is personal of somebody; None: it is done elsewhere."""
    public_url: str | None = None
    """The console's address as browsers see it; None: whatever they ask for."""


@dataclass(frozen=True)
class ConsolePorts:
    """Everything behind the console's pages and its REST API."""

    desk: Desk
    approvals: Approvals
    verdicts: VerdictChannel
    models: Models
    policies: Policies
    sign_in: SignIn
    key: bytes = field(repr=False)
    """Signs forms and, on an embedded stack, sign-in links: there, whoever has it can be anybody. 32 random bytes."""
    rates: Rates = field(default_factory=Rates)
    currency: str = "EUR"
    temporal_ui: str | None = None
    """Where Temporal's own pages are (`http://127.0.0.1:8233`), for links; None shows none."""
    passive: bool = False
    """Proposals are recorded and nothing is sent: said on every page."""
    clocks: Clocks = no_clocks
    live_clocks: bool = False
    """Whether business clocks follow the clock on the wall: then one that is far behind it means old data."""
    deliveries: Deliveries | None = None
    """Orders in flight and their odds; None shows none."""
    planning: Planning | None = None
    """Budget and stability figures; None shows none."""
    money: Money | None = None
    """What decisions cost and save; None shows none."""
    what_if: WhatIf | None = None
    """Answers what-ifs; None answers none."""
    inbox: Inbox | None = None
    """Views of what waits; None: only the plain list of tasks."""
    work: TaskWork | None = None
    """Claims, naps, comments and forwarding; None: tasks can only be answered."""
    judging: Judging | None = None
    """What would become of approvals, for many at once; None: nothing is known before they are given."""
    live: Live | None = None
    """Tells pages what moves; None tells nothing."""
    files: Files | None = None
    """Exchanges files with spreadsheets; None exchanges none."""
    notices: Preferences | None = None
    """How often each person wants to be told; None: nobody is told anything."""
    audit: AuditTrail | None = None
    """The ledger for auditors; None shows none."""
    signer: Signer | None = None
    """Signs exports of the ledger; it goes with `audit`."""
    record: RecordDesk | None = None
    """The tree over the ledger, its checkpoints and proofs; None shows none."""
    replays: DecisionReplays | None = None
    """Makes decisions again from the record alone; None: only from their inputs and policy."""
    copies: RecordCopies | None = None
    """Files that auditors take along; None makes none."""
    reviews: RecordReviews | None = None
    """Reviews of access and controls; None makes none."""
    model_history: ModelHistory | None = None
    """What became of model versions; None tells nothing of it."""
    figures: Figures | None = None
    """The figures of the home page; None shows none."""
    stock: Stock | None = None
    demand: Demand | None = None
    sales: Sales | None = None
    forecasts: Forecasts | None = None
    """Forecasts on request; None makes none."""
    past: PastDecisions | None = None
    """Past decisions, to list and to compare with; None lists none."""
    operations: Operations | None = None
    """Orders and dead letters for operators; None shows none."""
    stops: Stops | None = None
    """The stop switches; None: nobody can stop sending here."""
    health: HealthDesk | None = None
    """What is stuck, lagging or poisoned; None shows none."""
    arrivals: Arrivals | None = None
    """Events as they arrive; None shows none."""
    order_words: OrderWords | None = None
    """What is known and may be said of orders in doubt; None: nothing is said here."""
    reconciliations: ReconciliationDesk | None = None
    """Our orders against the suppliers' own lists; None shows none."""
    circuits: CircuitsDesk | None = None
    """Which suppliers answer; None shows none."""
    caps: CapsDesk | None = None
    """How much of the value caps is used; None shows none."""
    drift: Drift = no_drift
    zones: Zones = no_zones
    """Each location's time zone: instants of a location are shown on its clock."""
    invented: Origin = all_real
    """Said wherever figures are shown: nobody should take a demo's numbers for a shop's."""
