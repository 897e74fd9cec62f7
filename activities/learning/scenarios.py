"""Scenarios join the periods of a forecast into equally likely futures in whole units: data, not chance."""

import numpy as np

from activities.learning import risk
from activities.learning.forecasting import Forecast
from activities.learning.windows import Ints


def demand_scenarios(said: Forecast, tables: Ints) -> Ints:
    """[rows, periods, scenarios]: each row's futures with its own table of permutations and its own correlation."""
    periods = said.knots.shape[1]
    joined = np.empty((len(tables), periods, risk.SCENARIOS), dtype=np.int64)
    for level in np.unique(said.correlation):
        rows = np.flatnonzero(said.correlation == level)
        joined[rows] = risk.correlated(int(level))[tables[rows], :periods]
    demand = risk.demand_scenarios(said.knots, joined, said.no_sale)
    if said.cold is not None:
        demand = demand.astype(np.int64)
        own = risk.permutations()[tables[said.cold_rows]]
        demand[said.cold_rows] = said.cold.scenarios(own[:, :periods], own[:, risk.RATE_COLUMN], periods)
    return demand
