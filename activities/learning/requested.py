"""A forecast on request: the champion's quantiles and mean of each series' coming days, as decisions would see them."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from activities.learning.cadence import DAY
from activities.learning.demand import MILLI, QUANTILES
from activities.learning.forecasting import forecast
from activities.learning.hierarchy import expected_milli
from activities.learning.model_file import unpack
from activities.learning.windows import Panel
from workflows.domain.errors import InvalidInput
from workflows.domain.forecasts import ForecastDay, ForecastSeries
from workflows.domain.models import TrainingSeries


def requested(
    series: Sequence[TrainingSeries], model: bytes, *, last_day: date, first: date, last: date,
    levels: Sequence[Decimal],
) -> tuple[ForecastSeries, ...]:  # fmt: skip
    """Days `first` to `last` (after `last_day`, the last known one) of each series, by item and location.

    The mean is the area under the quantile function (`hierarchy.expected_milli`).

    Raises:
        InvalidInput: days that the model does not look ahead to, or a model of weeks or months.
        ModelUnusable: the bytes are damaged or were written by a newer library.
    """
    skipped, ahead = (first - last_day).days - 1, (last - last_day).days
    if not 0 <= skipped < ahead <= DAY.ahead:
        raise InvalidInput(f"days: the model looks ahead to {last_day + timedelta(days=DAY.ahead)}")
    loaded = unpack(model, nthread=1)
    if loaded.cadence is not DAY:
        raise InvalidInput(f"the champion speaks of {loaded.cadence.name}s; a forecast by day needs a daily model")
    if not series:
        return ()
    panel = Panel.of(series, last_day)
    rows = np.arange(len(panel.keys))
    said = forecast(loaded, panel.windows(panel.last, rows), np.full(len(rows), ahead, dtype=np.int64))
    means = expected_milli(said.knots)
    picked = [QUANTILES.index(float(level)) for level in levels]
    # The panel is in the order of its keys, whatever the caller's order was.
    ordered = sorted(series, key=lambda one: (one.location, one.item))
    found = [
        ForecastSeries(
            item=one.item, location=one.location, forecaster=said.forecaster[row],
            days=tuple(
                ForecastDay(
                    day=last_day + timedelta(days=n + 1), mean=_units(means[row, n]),
                    quantiles={str(level): _units(said.knots[row, n, place])
                               for level, place in zip(levels, picked, strict=True)},
                )
                for n in range(skipped, ahead)
            ),
        )
        for row, one in enumerate(ordered)
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda one: (one.item, one.location)))


def _units(milli: np.int64) -> Decimal:
    return Decimal(int(milli)) / MILLI
