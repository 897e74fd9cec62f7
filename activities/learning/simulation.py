"""The simulator: what a policy would have cost, period by period, seeing at each review only what was known by then.

Within a period: arrivals become usable, demand is served, holding is charged on the stock left and shortage on the
units not served, then the review orders. An order placed at the end of period t is usable from the start of period
t + lead + 1. All rows move at once; they are independent of each other.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np

from activities.learning.order_points import static_level
from activities.learning.trial import Economics, Facts, Trial
from activities.learning.windows import Floats, Ints
from workflows.domain.studies import MISSING, Unmet

Values = TypeVar("Values", Floats, Ints)
Watch = Callable[[int, int], None]
"""Told how many of how many rounds are done."""


@dataclass(frozen=True)
class View:
    """What is known at a review, at the end of a period; nothing later."""

    round: int
    """Costed periods that are over: 0 at the first review."""
    history: Floats
    """[rows, periods so far]: demand; NaN where it was not wholly observed. Under lost sales that is so wherever this
    policy's stock ran out: who leaves with nothing is not counted."""
    sold: Floats
    """As `history`, with what was sold where demand was not wholly observed; NaN where nothing was recorded."""
    on_hand: Ints
    """Lattice units in stock; negative is backlog."""
    pipeline: Ints
    """[rows, periods]: what becomes usable at the start of the 1st, 2nd, ... period after this one."""
    economics: Economics
    facts: Facts
    remaining: int
    """Costed periods still to come: how far a forecast made now must reach. Nothing ends with the trial but its count,
    so a policy that runs its stock down towards the end of it is wrong."""

    @property
    def position(self) -> Ints:
        """On hand and on order, less backlog."""
        position: Ints = self.on_hand + self.pipeline.sum(axis=1)
        return position

    def __len__(self) -> int:
        return len(self.on_hand)


class Policy(Protocol):
    """Says what to order. An instance lives for one trial, and may keep what it computed."""

    @property
    def name(self) -> str:
        """As it appears in results."""
        ...

    def order(self, view: View) -> Ints:
        """Lattice units to order now, one per row: 0, or whole packs and at least the minimum."""
        ...


@dataclass(frozen=True)
class Run:
    """What happened: arrays [rows, rounds] in lattice units and money. Masked periods cost and count nothing."""

    trial: Trial
    left: Ints
    """Stock at the end of each period; negative is backlog."""
    served: Ints
    """Of the period's own demand, in the period itself."""
    unserved: Ints
    """The rest of it: lost, or begun to wait."""
    arrived: Ints
    ordered: Ints
    """At the review just before each costed period: the first belongs to the first round. The review after the last
    round could change no cost of this trial and does not take place."""
    in_transit: Ints
    """[rows]: on order after the last round; not charged."""
    holding: Floats
    shortage: Floats
    ordering: Floats
    seconds: float

    @property
    def costs(self) -> Floats:
        """[rows, rounds]: all three costs of each row and round."""
        costs: Floats = self.holding + self.shortage + self.ordering
        return costs


def first_view(trial: Trial) -> View:
    """What is known at the first review."""
    sold = trial.past if trial.sold is None else trial.sold
    return View(
        0, trial.past, sold, trial.on_hand, _pipeline(trial), trial.economics, trial.facts, trial.rounds
    )  # fmt: skip


def _pipeline(trial: Trial) -> Ints:
    """The orders under way, with a column for each lead time that an order may still take."""
    columns = max(int(trial.economics.lead.max(initial=0)) + 1, trial.arrivals.shape[1])
    pipeline = np.zeros((len(trial), columns), dtype=np.int64)
    pipeline[:, : trial.arrivals.shape[1]] = trial.arrivals
    return pipeline


def simulate(trial: Trial, make: Callable[[View], Policy], watch: Watch | None = None) -> Run:
    """Play the trial with the policy that `make` builds from what is known at the first review.

    Raises:
        ValueError: the policy ordered what may not be ordered.
    """
    begun = time.perf_counter()
    known = trial.past.shape[1]
    rows, rounds = trial.demand.shape
    history = np.concatenate([trial.past, np.full((rows, rounds), np.nan)], axis=1)
    first = first_view(trial)
    sold = history.copy() if trial.sold is None else np.concatenate([trial.sold, history[:, known:]], axis=1)
    policy = make(first)
    stock, pipeline = trial.on_hand.copy(), first.pipeline
    left, served, unserved, arrived, ordered = (np.zeros((rows, rounds), dtype=np.int64) for _ in range(5))
    everywhere = np.arange(rows)
    for t in range(rounds):
        view = View(
            t, _frozen(history[:, : known + t]), _frozen(sold[:, : known + t]), _frozen(stock.copy()),
            _frozen(pipeline.copy()), trial.economics, trial.facts, rounds - t,
        )  # fmt: skip
        ordered[:, t] = checked(policy.order(view), trial.economics, policy.name)
        pipeline[everywhere, trial.economics.lead] += ordered[:, t]
        arrived[:, t] = pipeline[:, 0]
        pipeline = np.concatenate([pipeline[:, 1:], np.zeros((rows, 1), dtype=np.int64)], axis=1)
        wanted = trial.demand[:, t]
        masked = wanted == MISSING
        stock, served[:, t], unserved[:, t] = _serve(
            stock + arrived[:, t], np.where(masked, 0, wanted), trial.economics.unmet
        )
        left[:, t] = stock
        sold[:, known + t] = np.where(masked, np.nan, served[:, t])
        # An empty shelf hides how many more were wanted, even where the last unit met the last customer.
        hidden = masked | (stock <= 0) if trial.economics.unmet is Unmet.LOST else masked
        history[:, known + t] = np.where(hidden, np.nan, wanted)
        if watch:
            watch(t + 1, rounds)
    # The time is the policy's; what follows is ours.
    run = _costed(trial, left, served, unserved, arrived, ordered, pipeline.sum(axis=1))
    return replace(run, seconds=time.perf_counter() - begun)


def _frozen(values: Values) -> Values:
    """A view that nobody can write through: a policy cannot change the world but by ordering."""
    shown = values.view()
    shown.flags.writeable = False
    return shown


def _serve(stock: Ints, wanted: Ints, unmet: Unmet) -> tuple[Ints, Ints, Ints]:
    """Stock after the period, and of its demand what was served at once and what was not."""
    served = np.minimum(np.maximum(stock, 0), wanted)
    unserved = wanted - served
    after = stock - wanted if unmet is Unmet.BACKLOG else stock - served
    return after, served, unserved


def checked(orders: Ints, economics: Economics, name: str) -> Ints:
    """The orders, if they may be placed.

    Raises:
        ValueError: the wrong shape or type, negative, below the minimum, or not in whole packs.
    """
    if orders.shape != economics.lead.shape or orders.dtype != np.int64:
        raise ValueError(f"policy {name} ordered {orders.dtype}{orders.shape}, not int64{economics.lead.shape}")
    wrong = (orders < 0) | ((orders > 0) & (orders < economics.minimum)) | (orders % economics.pack != 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"policy {name} ordered {orders[row]} in row {row}: an order is 0, or at least "
            f"{economics.minimum[row]} in packs of {economics.pack[row]}"
        )
    return orders


def _costed(
    trial: Trial, left: Ints, served: Ints, unserved: Ints, arrived: Ints, ordered: Ints, in_transit: Ints
) -> Run:
    economics, counts = trial.economics, trial.demand != MISSING
    short = np.maximum(-left, 0) if economics.unmet is Unmet.BACKLOG else unserved
    return Run(
        trial=trial, left=left, served=served, unserved=unserved, arrived=arrived, ordered=ordered,
        in_transit=in_transit, seconds=0.0,
        holding=np.where(counts, np.maximum(left, 0) * economics.holding[:, None], 0.0),
        shortage=np.where(counts, short * economics.shortage[:, None], 0.0),
        ordering=np.where(ordered > 0, economics.order_cost[:, None], 0.0),
    )  # fmt: skip


def rehearsal(view: View, rounds: int, on_hand: Ints | None = None) -> Trial:
    """The last `rounds` known periods as a trial of their own, to choose parameters on before the test.

    Args:
        on_hand: stock at its start; without it, the static reorder point's order-up-to level of that moment.
    """
    past, test = view.history[:, :-rounds], view.history[:, -rounds:]
    stock = static_level(past, view.economics.lead, view.facts.period) if on_hand is None else on_hand
    return Trial(
        economics=view.economics, past=past, sold=view.sold[:, :-rounds], facts=view.facts, on_hand=stock,
        demand=np.where(np.isnan(test), MISSING, test).astype(np.int64),
        arrivals=np.zeros((len(view), 0), dtype=np.int64),
    )  # fmt: skip
